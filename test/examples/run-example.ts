import { fileURLToPath } from 'node:url';
import { Running } from '../cli/run.ts';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Starts a program of examples/ on the emulated machine, at the pace of a real card. */
export function startExample(name: string, args: string[] = []): Running {
  return new Running(process.execPath, ['--no-warnings', path(`../../examples/${name}`), ...args], {
    VSND_EMULATE: '1',
  });
}

/**
 * Starts one whose card's sound is kept in WAV files, the first of which is `heard`. `fast`: the card plays as fast as data
 * comes.
 */
export function recordExample(name: string, args: string[], heard: string, { fast = true } = {}): Running {
  const preload = path('emulated-guest.js');
  const script = path(`../../examples/${name}`);
  const env = { VSND_EMULATE: '1', HEARD: heard, FAST: fast ? '1' : '' };
  return new Running(process.execPath, ['--no-warnings', '--import', preload, script, ...args], env);
}
