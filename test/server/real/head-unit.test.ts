import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { noise, occurrences, writeWav } from '../../bridge/real/sound.ts';
import { recordExample } from '../../examples/run-example.ts';
import { STEREO } from '../../sound.ts';
import { heardIn, makeDirectory, outcomeOf } from './serve-command.ts';

/** What the head unit says of itself. */
interface State {
  readonly controls: { readonly fade: number };
  readonly isSpeaking: boolean;
}

/** The head unit whose prompts are those of programs. */
async function startUnit(directory: string) {
  const socket = join(directory, 'unit', 'native');
  const args = ['--port', '0', '--socket', socket];
  const running = recordExample('head-unit/main.js', args, join(directory, 'heard.wav'), { fast: false });
  const [said] = await once(running.child.stdout ?? running.child, 'data');
  const page = /http:\S+/.exec(String(said))?.[0] ?? '';
  const env = { ...process.env, PULSE_SERVER: `unix:${socket}`, HOME: directory, XDG_RUNTIME_DIR: directory };
  return { running, page, env };
}

/** Its states, one after the other. */
async function* statesOf(page: string): AsyncGenerator<State> {
  const response = await fetch(`${page}state`);
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const events = (text + chunk).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) yield JSON.parse(event.slice('data: '.length));
  }
}

async function until(page: string, holds: (state: State) => boolean): Promise<void> {
  for await (const state of statesOf(page)) if (holds(state)) return;
}

test('the head unit ducks its music for a program that says where to go, and gives it back', async () => {
  const directory = makeDirectory();
  const { running, page, env } = await startUnit(directory);
  const sound = noise('s16_le', 2, 3 * STEREO.rate);
  const file = writeWav(directory, 'sound.wav', STEREO, sound);
  const speaking = outcomeOf(spawn('paplay', ['--property=media.role=navigation', file], { env }));
  await until(page, ({ isSpeaking, controls }) => isSpeaking && controls.fade === -15);
  const { status, stderr } = await speaking;
  expect(status, stderr).toBe(0);
  await until(page, ({ isSpeaking, controls }) => !isSpeaking && controls.fade === 0);
  const pressed = fetch(`${page}navigate`, { method: 'POST' }); // its own paplay
  await until(page, ({ isSpeaking }) => isSpeaking);
  await until(page, ({ isSpeaking }) => !isSpeaking);
  expect((await pressed).status).toBe(204);
  running.child.kill('SIGTERM');
  expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
  expect(heardIn(directory).reduce((sum, take) => sum + occurrences(take, sound), 0)).toBe(1);
});
