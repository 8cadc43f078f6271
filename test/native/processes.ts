import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { createSoundCard, removeSoundCard, type SoundCardOptions } from '../../src/xen/emulated/toolstack.ts';
import { ADDON, type StoreSocket, serveStore } from './stand-in.ts';

/** ms: none takes half as long. */
const LONGEST = 100_000;

const DOMID = 1;
const CARD = {
  frontendDomid: DOMID,
  pcmDevices: [{ streams: [{ fields: { type: 'p' } }, { fields: { type: 'c' } }] }],
} as const satisfies SoundCardOptions;

/** How a process has ended, and all that it has said. */
export interface Ending {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: string[];
  readonly complaints: string;
}

/** A machine with one guest and its card; its processes are programs beside this file (machine.js). */
export class ProcessMachine {
  readonly xen = new EmulatedMachine();
  #store: StoreSocket | undefined;

  static async start(): Promise<ProcessMachine> {
    const machine = new ProcessMachine();
    const { domid } = machine.xen.createDomain();
    if (domid !== DOMID) throw new Error(`machine.js expects domid ${DOMID}, not ${domid}`);
    createSoundCard(machine.xen, CARD);
    machine.#store = await serveStore(machine.xen);
    return machine;
  }

  /** What the toolstack does at a restore, but for the domid: neither end may tell. */
  renewCard(): void {
    removeSoundCard(this.xen, CARD);
    createSoundCard(this.xen, CARD);
  }

  /** Runs a program to its end; `onLine` hears each line of what it says. */
  async run(
    program: string,
    args: readonly string[],
    onLine: (line: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<Ending> {
    const folder = process.env['VSND_TEST_PROGRAMS'] ?? fileURLToPath(new URL('.', import.meta.url));
    const child = spawn(process.execPath, ['--expose-gc', join(folder, program), ADDON, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
      ...{ timeout: LONGEST, killSignal: 'SIGKILL' },
    });
    const lines: string[] = [];
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) {
        lines.push(line);
        onLine(line, (signal) => child.kill(signal));
      }
    });
    let complaints = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { status, signal, lines, complaints };
  }

  async close(): Promise<void> {
    await this.#store?.close();
    await this.xen.close();
  }
}
