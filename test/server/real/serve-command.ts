import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { REAL_TIME } from '../../bridge/real/sound-server.ts';
import { MAIN } from '../../cli/run.ts';

/** ms: no program takes longer for what it is to do here. */
const PATIENCE = 60_000;

/** Listens at a socket, and hands it to a program, again and again until it is told to end, as systemd does. */
const HOLDER = `
import os, signal, socket, sys
path, command = sys.argv[1], sys.argv[2:]
os.makedirs(os.path.dirname(path))
listening = socket.socket(socket.AF_UNIX)
listening.bind(path)
listening.listen(64)
is_over = False
def end(*_):
    global is_over
    is_over = True
    os.kill(child, signal.SIGTERM)
signal.signal(signal.SIGTERM, end)
while not is_over:
    child = os.fork()
    if child == 0:
        os.dup2(listening.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
        os.execvp(command[0], command)
    _, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
`;

/** A line of `vsnd serve --json`. */
export interface ServeEvent {
  readonly event: string;
  readonly name?: string;
  readonly message?: string;
  readonly sinks: readonly { xruns: number; frames: number; active: boolean; latency: number }[];
  readonly clients: readonly { name: string; streams: readonly unknown[] }[];
}

/** What has become of a program. */
export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** ms that it took. */
  readonly time: number;
}

/** `vsnd serve --emulate --json`, running, in a directory of its own that goes with the test. */
export class ServeCommand {
  readonly directory: string;
  readonly child: ChildProcess;
  readonly events: ServeEvent[] = [];
  /** For the programs that are to use it. */
  readonly env: NodeJS.ProcessEnv;
  readonly #news = new EventEmitter();
  #stderr = '';

  /** `isHeld`: somebody else holds the socket, as systemd does, and starts it again where it ends. */
  constructor(
    args: readonly string[],
    { directory = makeDirectory(), isHeld = false }: { directory?: string; isHeld?: boolean } = {},
  ) {
    this.directory = directory;
    const place = {
      HOME: directory,
      XDG_RUNTIME_DIR: directory,
      VSND_CONTROL_DIR: join(directory, 'control'),
    };
    this.env = { ...process.env, ...place, LC_ALL: 'C', PULSE_SERVER: `unix:${this.socket}` };
    const { VSND_EMULATE: _, ...env } = this.env;
    const common = [
      'serve',
      '--emulate',
      '--json',
      '--source',
      'silence',
      '--sink',
      `wav:${join(directory, 'heard.wav')}`,
    ];
    const where = isHeld ? [] : ['--socket', this.socket];
    const command = [process.execPath, MAIN, ...common, ...where, ...args];
    const holder = isHeld ? ['python3', '-c', HOLDER, this.socket] : [];
    const [program = '', ...rest] = [...REAL_TIME, ...holder, ...command];
    this.child = spawn(program, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    onTestFinished(() => void this.child.kill('SIGKILL'));
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.events.push(JSON.parse(line));
      this.#news.emit('news');
    });
    this.child.stderr?.on('data', (text: Buffer) => {
      this.#stderr += text;
    });
    this.child.once('exit', () => this.#news.emit('news'));
  }

  get socket(): string {
    return join(this.directory, 'socket', 'native');
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The `count`th event of that name; waits for it. */
  async event(name: string, count = 1): Promise<ServeEvent> {
    for (;;) {
      const event = this.events.filter((one) => one.event === name)[count - 1];
      if (event) return event;
      if (this.#isOver) throw new Error(`ended (${this.#status}) without '${name}': ${this.#stderr}`);
      await once(this.#news, 'news');
    }
  }

  /** Starts a program that uses it. */
  spawn(command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const [program = '', ...args] = [...REAL_TIME, ...command];
    const child = spawn(program, args, {
      cwd: this.directory,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }

  /** Runs one to its end. */
  async run(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    return await outcomeOf(this.spawn(command, env));
  }

  /** Ends it, as a service is ended; it has done well. What its card has heard, from each opening to its closing. */
  async stop(): Promise<Buffer[]> {
    if (this.#isOver) throw new Error(`ended by itself (${this.#status}): ${this.#stderr}`);
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
    if (this.#status !== 0 || this.#stderr !== '')
      throw new Error(`vsnd serve has ended with ${this.#status}: ${this.#stderr}`);
    return heardIn(this.directory);
  }

  get #status(): number | NodeJS.Signals | null {
    return this.child.exitCode ?? this.child.signalCode;
  }

  get #isOver(): boolean {
    return this.#status !== null;
  }
}

/** Starts it, and waits until it listens. */
export async function startServe(...args: string[]): Promise<ServeCommand> {
  return await listening(new ServeCommand(args));
}

/** The same at a socket that somebody else holds: whoever may open it may use it. */
export async function startHeldServe(...args: string[]): Promise<ServeCommand> {
  return await listening(new ServeCommand(args, { isHeld: true }));
}

async function listening(serve: ServeCommand): Promise<ServeCommand> {
  await serve.event('listen');
  return serve;
}

/** Waits for the end of a program, which is killed where that takes too long. */
export async function outcomeOf(child: ChildProcess, patience = PATIENCE): Promise<Outcome> {
  const begin = performance.now();
  const pieces: Buffer[] = [];
  let stderr = '';
  child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
  child.stderr?.on('data', (text: Buffer) => {
    stderr += text;
  });
  const killer = setTimeout(() => child.kill('SIGKILL'), patience);
  const [status, signal] = await once(child, 'close');
  clearTimeout(killer);
  return { status, signal, stdout: Buffer.concat(pieces), stderr, time: performance.now() - begin };
}

/** What a card has heard whose sink is `heard.wav` there: heard.wav, heard-2.wav and so on. */
export function heardIn(directory: string): Buffer[] {
  const takes: Buffer[] = [];
  for (let take = 1; ; take++) {
    const path = join(directory, take === 1 ? 'heard.wav' : `heard-${take}.wav`);
    if (!existsSync(path)) return takes;
    takes.push(readFileSync(path));
  }
}

export function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'vsnd-serve-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** s of CPU that a process has used. */
export function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (user + system) / 100; // proc(5): fields 14 and 15, in clock ticks
}
