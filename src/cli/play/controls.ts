import type { Terminal } from '../terminal.ts';
import type { Loudness } from './loudness.ts';
import type { Player } from './player.ts';
import type { Voice } from './voice.ts';

/** What keys work on. */
export interface Controlled {
  readonly player: Player;
  readonly voice: Voice;
  readonly loudness: Loudness;
  readonly terminal: Terminal;
}

interface KeyBinding {
  readonly keys: readonly string[];
  /** The keys, and what they do, as `?` shows them. */
  readonly help: readonly [keys: string, effect: string];
  readonly press: (controlled: Controlled) => void | Promise<void>;
}

/** Seconds. */
const SEEK_STEP = 10;
/** dB */
const VOLUME_STEP = 2;

export const KEY_BINDINGS: readonly KeyBinding[] = [
  {
    keys: [' '],
    help: ['space', 'pause, or go on'],
    press: ({ voice }) => voice.setPaused(!voice.isPaused),
  },
  {
    keys: ['left'],
    help: ['left', `${SEEK_STEP} seconds back`],
    press: (controlled) => seek(controlled, -SEEK_STEP),
  },
  {
    keys: ['right'],
    help: ['right', `${SEEK_STEP} seconds on`],
    press: (controlled) => seek(controlled, SEEK_STEP),
  },
  {
    keys: ['up', '+', '='], // = is + without the shift key
    help: ['up, +', `louder, by ${VOLUME_STEP} dB`],
    press: ({ loudness }) => loudness.turn(VOLUME_STEP),
  },
  {
    keys: ['down', '-'],
    help: ['down, -', `softer, by ${VOLUME_STEP} dB`],
    press: ({ loudness }) => loudness.turn(-VOLUME_STEP),
  },
  { keys: ['m'], help: ['m', 'mute, or no more'], press: ({ loudness }) => loudness.toggleMute() },
  { keys: ['n'], help: ['n', 'the next file'], press: ({ player }) => player.skip(1) },
  { keys: ['p'], help: ['p', 'the previous file'], press: ({ player }) => player.skip(-1) },
  { keys: ['q'], help: ['q', 'quit'], press: ({ player }) => player.stop() },
  { keys: ['?', 'h'], help: ['?', 'these keys'], press: ({ terminal }) => terminal.say(keysHelp()) },
];

/** Does what a key is for; other keys do nothing. */
export async function press(key: string, controlled: Controlled): Promise<void> {
  const binding = KEY_BINDINGS.find(({ keys }) => keys.includes(key));
  try {
    await binding?.press(controlled);
  } catch (error) {
    controlled.terminal.complain(`${binding?.help[1]}: ${(error as Error).message}`);
  }
}

function seek({ player, terminal }: Controlled, seconds: number): void {
  if (!player.seek(seconds)) terminal.complain(`${player.heard?.source.name} cannot be entered elsewhere`);
}

function keysHelp(): string {
  return KEY_BINDINGS.map(({ help: [keys, effect] }) => `  ${keys.padEnd(9)}${effect}`).join('\n');
}
