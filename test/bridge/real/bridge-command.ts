import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import type { BridgeEndpoint } from '../../../src/bridge/bridge.ts';
import { MAIN } from '../../cli/run.ts';
import type { HeadlessServer } from './sound-server.ts';

/** A line of `vsnd bridge --json`. */
export interface BridgeEvent {
  readonly time: string;
  readonly event: string;
  readonly direction?: string;
  readonly state: string;
  readonly server: string;
  readonly endpoints: readonly BridgeEndpoint[];
}

/** `vsnd bridge --emulate --json`, running. */
export class BridgeCommand {
  readonly child: ChildProcess;
  readonly events: BridgeEvent[] = [];
  readonly #news = new EventEmitter();
  readonly #ended: Promise<{ status: number | null; stderr: string }>;
  #stderr = '';
  #hasEnded = false;

  constructor(server: HeadlessServer, args: readonly string[]) {
    const { VSND_EMULATE: _, ...env } = server.env;
    const preload = process.env['VSND_TEST_PRELOAD'];
    this.child = spawn(process.execPath, [MAIN, 'bridge', '--emulate', '--json', ...args], {
      env: preload === undefined ? env : { ...env, LD_PRELOAD: preload },
    });
    onTestFinished(() => void this.child.kill('SIGKILL'));
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.events.push(JSON.parse(line));
      this.#news.emit('news');
    });
    this.child.stderr?.on('data', (text: Buffer) => {
      this.#stderr += text;
    });
    this.#ended = once(this.child, 'close').then(([status]) => {
      this.#hasEnded = true;
      this.#news.emit('news');
      return { status, stderr: this.#stderr };
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The `count`th event of that name, and direction; waits for it. */
  async event(name: string, { direction, count = 1 }: { direction?: string; count?: number } = {}) {
    for (;;) {
      const found = this.events.filter(
        (one) => one.event === name && (direction === undefined || one.direction === direction),
      );
      const event = found[count - 1];
      if (event) return event;
      if (this.#hasEnded) throw new Error(`ended without '${name}': ${this.#stderr}`);
      await once(this.#news, 'news');
    }
  }

  /** Ends it as a service is ended. */
  async stop(signal: NodeJS.Signals = 'SIGTERM') {
    this.child.kill(signal);
    return await this.#ended;
  }

  ended() {
    return this.#ended;
  }
}

/** Starts it, and waits until sink and source are there. */
export async function startBridge(server: HeadlessServer, ...args: string[]): Promise<BridgeCommand> {
  const bridge = new BridgeCommand(server, args);
  await bridge.event('connect');
  return bridge;
}
