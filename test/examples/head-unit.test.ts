import { once } from 'node:events';
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Card, openCard } from '../../src/index.ts';
import { startTestGuest } from '../../src/testing.ts';
import { startExample } from './run-example.ts';

interface Sound {
  title: string;
  bytes: Uint8Array;
}

interface Music {
  readonly finished: Promise<void>;
  readonly status: { source: number; fade: number };
  setDucked(isDucked: boolean): void;
  select(source: number): void;
}

const example = (name: string) => import(new URL(`../../examples/head-unit/${name}`, import.meta.url).href);
const { Music } = (await example('music.js')) as {
  Music: new (card: Card, device: number, sources: Sound[]) => Music;
};
const { Prompt } = (await example('prompt.js')) as {
  Prompt: new (card: Card, device: number, bytes: Uint8Array, music: Music) => { speak(): Promise<void> };
};
const { Chime } = (await example('chime.js')) as {
  Chime: new (
    card: Card,
    device: number,
  ) => { ring(): Promise<void>; latency?: { milliseconds: number; error: number } };
};

const SECOND = 48_000;
const LOUD = 20_000;

/** A sound that shows by its samples how loud it is made. */
function constant(seconds: number, value: number): Sound {
  const samples = new Int16Array(2 * seconds * SECOND).fill(value);
  return { title: 'constant', bytes: new Uint8Array(samples.buffer) };
}

/** dB: of each frame's left sample against LOUD. */
function gains(bytes: Uint8Array): number[] {
  const samples = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return Array.from({ length: samples.length / 2 }, (_, frame) => {
    return 20 * Math.log10(Math.abs(samples[2 * frame] ?? 0) / LOUD);
  });
}

const at = (values: readonly number[], frame: number) => values[Math.round(frame)] ?? Number.NaN;

async function useCard(devices: number) {
  const streams = [{ fields: { type: 'p' } }];
  const pcmDevices = Array.from({ length: devices }, (_, index) => ({
    streams: streams.map(({ fields }) => ({ fields: { ...fields, 'unique-id': `playback${index}` } })),
  }));
  const guest = await startTestGuest({ pcmDevices, fields: { 'buffer-size': '1048576' } });
  const card = await openCard({ hypervisor: guest.hypervisor });
  const close = async () => {
    await card.close();
    await guest.close();
  };
  return { guest, card, close };
}

describe('the head unit’s sound', () => {
  test('a prompt ducks the music by 15 dB, smoothly, and the music returns', async () => {
    const { guest, card, close } = await useCard(2);
    const music = new Music(card, 0, [constant(1, LOUD)]);
    const stopped = music.finished.catch(() => {});
    const prompt = new Prompt(card, 1, constant(2, 1000).bytes, music);
    await guest.clock.advance(SECOND);
    const spoken = prompt.speak();
    await guest.clock.advance(2 * SECOND);
    expect(music.status.fade).toBe(-15);
    await guest.clock.advance(2 * SECOND);
    await spoken;
    expect(music.status.fade).toBe(0);
    await close();
    await stopped;

    const heard = gains(guest.device.heard(0));
    const [before, during, after] = [0.9, 2.5, 4.5].map((seconds) => at(heard, seconds * SECOND));
    expect([before, during, after].map((gain) => gain?.toFixed(2))).toEqual(['-9.00', '-24.00', '-9.00']);
    const steepest = heard.reduce(
      (most, gain, frame) => Math.max(most, Math.abs(gain - at(heard, frame + 1)) || 0),
      0,
    );
    // The steepest is 0.6 dB in the 480 frames of 10 ms; a sample's rounding is 0.004 dB.
    expect(steepest).toBeLessThan(0.01);
    const quietFrom = heard.findIndex((gain) => gain < -9.1);
    expect(quietFrom / SECOND).toBeGreaterThanOrEqual(1);
    expect(quietFrom / SECOND).toBeLessThan(1.25); // a buffer later
    expect(guest.device.heard(1).length).toBe(2 * SECOND * 4);
  });

  test('a source follows the other without a gap, once the other has been faded out', async () => {
    const { guest, card, close } = await useCard(1);
    const music = new Music(card, 0, [constant(1, LOUD), constant(1, -LOUD)]);
    const stopped = music.finished.catch(() => {});
    await guest.clock.advance(SECOND);
    music.select(1);
    await guest.clock.advance(SECOND);
    expect(music.status).toMatchObject({ source: 1, fade: 0 });
    await close();
    await stopped;
    const bytes = Buffer.from(guest.device.heard());
    expect(bytes.length).toBe(2 * SECOND * 4);
    const heard = gains(bytes);
    const change = heard.findIndex((_, frame) => bytes.readInt16LE(4 * frame) <= 0);
    expect(bytes.readInt16LE(4 * change)).toBeLessThan(0); // no silence between them
    expect(at(heard, change - 1)).toBeLessThan(-45);
    expect(at(heard, change)).toBeLessThan(-40);
  });

  test('the chime’s first frame is played when the button is pressed', async () => {
    const { guest, card, close } = await useCard(1);
    const chime = new Chime(card, 0);
    await guest.clock.advance(SECOND / 10); // its stream is open
    const rung = chime.ring();
    await guest.clock.advance(240); // a period: the device plays no smaller pieces
    expect(guest.device.heard().length).toBe(240 * 4);
    await guest.clock.advance(SECOND);
    await rung;
    expect(chime.latency).toBeDefined();
    const again = chime.ring();
    await guest.clock.advance(SECOND);
    await again;
    const [first, second] = [0, 1].map((take) => Buffer.from(guest.device.heard(take)));
    expect(first?.length).toBe(0.7 * SECOND * 4);
    expect(second?.equals(first ?? Buffer.alloc(0))).toBe(true);
    await close();
  });
});

describe('the head unit’s page', () => {
  interface State {
    controls: {
      titles: string[];
      volume: number;
      isMuted: boolean;
      isPaused: boolean;
      fade: number;
      seconds: number;
    };
    streams: Record<'music' | 'prompt' | 'chime', { state: string; seconds: number; peaks: number[] }>;
    chimeLatency?: { milliseconds: number; error: number };
  }

  async function startUnit(...files: string[]) {
    const running = startExample('head-unit/main.js', ['--port', '0', ...files]);
    const [line] = await once(running.child.stdout ?? running.child, 'data');
    const address = String(line).match(/http:\S+/)?.[0] ?? '';
    const press = (name: string, body = '', headers = {}) =>
      fetch(address + name, { method: 'POST', body, headers });
    return { running, address, press };
  }

  /** The first state for which `holds`. */
  async function stateWhere(address: string, holds: (state: State) => boolean): Promise<State> {
    const response = await fetch(`${address}state`);
    let text = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end === -1) break;
        const state = JSON.parse(text.slice('data: '.length, end)) as State;
        text = text.slice(end + 2);
        if (holds(state)) return state;
      }
    }
    throw new Error('the head unit has gone');
  }

  test('its buttons do what they say, and it leaves when told to', async () => {
    const { running, address, press } = await startUnit();
    await stateWhere(address, ({ streams: { music } }) => music.seconds > 0 && (music.peaks[0] ?? -99) > -40);
    expect((await press('navigate')).status).toBe(204);
    await stateWhere(address, ({ controls, streams }) => controls.fade < 0 && streams.prompt.seconds > 0);
    await press('chime');
    const { chimeLatency } = await stateWhere(address, (state) => state.chimeLatency !== undefined);
    expect(chimeLatency?.milliseconds).toBeGreaterThan(-(chimeLatency?.error ?? 0));
    await press('volume', '-20');
    await press('pause');
    await press('mute');
    const { controls } = await stateWhere(address, ({ streams }) => streams.music.state === 'paused');
    expect(controls).toMatchObject({ volume: -20, isMuted: true, isPaused: true });
    running.child.kill('SIGTERM');
    expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
  });

  test('it plays recordings in any format', async () => {
    const path = fileURLToPath(new URL('../audio/fixtures/cbr.mp3', import.meta.url));
    const { running, address } = await startUnit(path);
    const { controls } = await stateWhere(address, ({ streams: { music } }) => (music.peaks[0] ?? -99) > -40);
    expect(controls).toMatchObject({ titles: ['cbr'] });
    running.child.kill('SIGTERM');
    expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
  });

  test('what is no button, or comes from elsewhere, is refused', async () => {
    const { running, address, press } = await startUnit();
    const refused = [
      await press('volume', '3'),
      await press('volume', ''),
      await press('source', '9'),
      await press('volume', '0'.repeat(1000)),
      await press('constructor'),
      await fetch(`${address}etc/passwd`),
      await fetch(address, { method: 'DELETE' }),
      await press('pause', '', { origin: 'http://example.org' }),
    ];
    expect(refused.map(({ status }) => status)).toEqual([400, 400, 400, 400, 404, 404, 405, 403]);
    expect(await refused[0]?.text()).toBe('the value is "3"; allowed: -48 to 0\n');
    const asked = request(address, { headers: { host: 'example.org' } }).end(); // fetch sets its own
    const [{ statusCode }] = await once(asked, 'response');
    expect(statusCode).toBe(403);
    const { controls } = await stateWhere(address, () => true);
    expect(controls).toMatchObject({ volume: -9, isPaused: false });
    running.child.kill('SIGINT');
    expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
  });
});
