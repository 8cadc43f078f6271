import { fileURLToPath } from 'node:url';
import { type Ended, Running } from '../cli/run.ts';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Starts a program of examples/ on the emulated machine, at the pace of a real card. */
export function startExample(name: string, args: string[] = []): Running {
  return new Running(process.execPath, ['--no-warnings', path(`../../examples/${name}`), ...args], {
    VSND_EMULATE: '1',
  });
}

/** Runs one to its end; what its card has heard is kept in WAV files, the first of which is `heard`. */
export function runExample(name: string, args: string[], heard: string): Promise<Ended> {
  const preload = path('emulated-guest.js');
  const script = path(`../../examples/${name}`);
  const env = { VSND_EMULATE: '1', HEARD: heard };
  return new Running(process.execPath, ['--no-warnings', '--import', preload, script, ...args], env).ended();
}
