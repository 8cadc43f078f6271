import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';

const run = promisify(execFile);

/** ms */
const START_DEADLINE = 15_000;

/** On a busy machine a server is late otherwise, and PipeWire loses sound; elsewhere rtkit does that for it. Where we may. */
export const REAL_TIME =
  spawnSync('chrt', ['--fifo', '20', 'true']).status === 0 ? ['chrt', '--fifo', '20'] : [];

/** A program that a server consists of. */
interface Program {
  readonly command: readonly string[];
  /** Whether sound goes through it. */
  readonly isPunctual?: true;
  /** The path of a socket that it makes, and the next one needs. */
  readonly socket?: string;
}

/** Whose processes those of a server are, if not ours. */
interface User {
  readonly uid?: number;
  readonly gid?: number;
}

/** A sound server without a sound card, for one test: nobody else's, and gone when the test is. */
export class HeadlessServer {
  /** The server's runtime directory, which bridges use as well. */
  readonly directory: string;
  /** For the programs that are to use it. */
  readonly env: NodeJS.ProcessEnv;
  readonly #programs: readonly Program[];
  #running: ChildProcess[] = [];
  #words = '';

  constructor(directory: string, variables: NodeJS.ProcessEnv, programs: readonly Program[]) {
    this.directory = directory;
    this.env = {
      ...process.env,
      XDG_RUNTIME_DIR: directory,
      HOME: directory,
      VSND_CONTROL_DIR: join(directory, 'vsnd'),
      LC_ALL: 'C',
      ...variables,
    };
    this.#programs = programs;
  }

  /** Resolves when it answers. */
  async start(user: User = {}): Promise<void> {
    for (const { command, isPunctual, socket } of this.#programs) {
      if (socket !== undefined) rmSync(socket, { force: true }); // of one that was killed
      const hurried = isPunctual && user.uid === undefined ? [...REAL_TIME, ...command] : command;
      const [program = '', ...args] = hurried;
      const child = spawn(program, args, { env: this.env, stdio: ['ignore', 'ignore', 'pipe'], ...user });
      child.stderr.on('data', (text: Buffer) => {
        this.#words += text;
      });
      this.#running.push(child);
      if (socket !== undefined) await this.#until(() => Promise.resolve(existsSync(socket)));
    }
    await this.#until(() => this.answers());
  }

  /** Nobody tells when it is there. */
  async #until(isThere: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + START_DEADLINE;
    while (!(await isThere())) {
      if (Date.now() > deadline)
        throw new Error(`no sound server after ${START_DEADLINE} ms: ${this.#words}`);
      await wait(50);
    }
  }

  /** Whether it is there, be it for somebody else. */
  async answers(): Promise<boolean> {
    return await run('pactl', ['info'], { env: this.env }).then(
      () => true,
      ({ stderr }) => /access denied/i.test(stderr),
    );
  }

  /** Resolves when its processes have ended. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    for (const child of this.#running.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    this.#running = [];
  }

  /** What a program says. */
  async output(program: string, ...args: string[]): Promise<string> {
    return (await run(program, args, { env: this.env, maxBuffer: 64 << 20 })).stdout;
  }

  async pactl(...args: string[]): Promise<string> {
    return await this.output('pactl', ...args);
  }

  /** The modules of bridges that the server has. */
  async bridgeModules(): Promise<string[]> {
    const lines = (await this.pactl('list', 'short', 'modules')).split('\n');
    return lines.filter((line) => line.includes(this.directory) && /\t\S*pipe\S*\t/.test(line));
  }

  /** The directories of bridges, with their FIFOs. */
  get bridgePlaces(): string[] {
    return listIfThere(join(this.directory, 'vsnd')).filter((name) => name.startsWith('bridge-'));
  }

  /** Starts a program that uses the server. */
  spawn(program: string, args: readonly string[]): ChildProcess {
    const child = spawn(program, args, { env: this.env });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }

  /** Makes the children of that name as punctual as the server: those in which modules run for a bridge. */
  async hurry(name: string, parent: number): Promise<void> {
    const pids = (await this.output('pgrep', '--parent', `${parent}`, name)).trim().split('\n');
    for (const pid of pids) await hurryProcess(Number(pid), 20);
  }

  /** Runs one to its end, which must be a good one. */
  async run(program: string, args: readonly string[]): Promise<void> {
    await run(program, args, { env: this.env, maxBuffer: 64 << 20 });
  }
}

/** Gives a process a place in real time, where we may. */
export async function hurryProcess(pid: number, priority: number): Promise<void> {
  if (REAL_TIME.length > 0) await run('chrt', ['--all-tasks', '--fifo', '--pid', `${priority}`, `${pid}`]);
}

/** Needs no D-Bus. Debian: pulseaudio pulseaudio-utils. */
export async function startPulse(): Promise<HeadlessServer> {
  return await started(makePulse(makeDirectory(), 'auth-anonymous=1'));
}

/** The server of another user, which lets only that one in: for root. Resolves when it answers, be it with a refusal. */
export async function startPulseOf(uid: number): Promise<HeadlessServer> {
  const directory = makeDirectory();
  const server = makePulse(directory, '');
  chmodSync(directory, 0o755);
  chownSync(directory, uid, uid);
  await started(server, { uid, gid: uid });
  server.env['HOME'] = join(directory, 'home-of-another'); // the cookie is in the server's
  return server;
}

function makePulse(directory: string, authentication: string): HeadlessServer {
  const script = join(directory, 'script.pa');
  const socket = join(directory, 'native');
  writeFileSync(script, `load-module module-native-protocol-unix ${authentication} socket=${socket}\n`);
  const options = [
    '-n',
    '--daemonize=no',
    '--exit-idle-time=-1',
    '--disable-shm=yes',
    '--use-pid-file=no',
    '--realtime=no',
    '--high-priority=no',
    '-F',
    script,
  ];
  return new HeadlessServer(directory, { PULSE_SERVER: `unix:${socket}` }, [
    { command: ['pulseaudio', ...options], isPunctual: true },
  ]);
}

/** Another PipeWire than the machine's, unpacked: Debian's packages of it, WirePlumber's and liblua5.4-0 below one folder. */
const PIPEWIRE_ROOT = process.env['VSND_TEST_PIPEWIRE'];

/** What has the programs of an unpacked PipeWire, and libpipewire in ours, find each other. */
function unpackedPipewire(root: string): NodeJS.ProcessEnv {
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
  const share = (name: string) => join(root, 'usr/share', name);
  return {
    PATH: `${join(root, 'usr/bin')}:${process.env['PATH']}`,
    LD_LIBRARY_PATH: libraries,
    SPA_PLUGIN_DIR: join(libraries, 'spa-0.2'),
    PIPEWIRE_MODULE_DIR: join(libraries, 'pipewire-0.3'),
    PIPEWIRE_CONFIG_DIR: share('pipewire'),
    WIREPLUMBER_CONFIG_DIR: share('wireplumber'),
    WIREPLUMBER_DATA_DIR: share('wireplumber'),
    WIREPLUMBER_MODULE_DIR: join(libraries, 'wireplumber-0.5'),
  };
}

/** Debian: pipewire pipewire-bin pipewire-pulse wireplumber dbus pulseaudio-utils. WirePlumber ends without a session bus. */
export async function startPipewire(): Promise<HeadlessServer> {
  const directory = makeDirectory();
  const bus = join(directory, 'bus');
  const variables = {
    ...(PIPEWIRE_ROOT === undefined ? {} : unpackedPipewire(PIPEWIRE_ROOT)),
    PULSE_SERVER: `unix:${join(directory, 'pulse', 'native')}`,
    DBUS_SESSION_BUS_ADDRESS: `unix:path=${bus}`,
  };
  return await started(
    new HeadlessServer(directory, variables, [
      {
        command: ['dbus-daemon', '--session', '--nofork', '--nopidfile', `--address=unix:path=${bus}`],
        socket: bus,
      },
      { command: ['pipewire'], socket: join(directory, 'pipewire-0'), isPunctual: true },
      { command: ['wireplumber'], isPunctual: true },
      { command: ['pipewire-pulse'], isPunctual: true },
    ]),
  );
}

async function started(server: HeadlessServer, user: User = {}): Promise<HeadlessServer> {
  onTestFinished(async () => {
    await server.stop('SIGKILL');
    rmSync(server.directory, { recursive: true, force: true });
  });
  await server.start(user);
  return server;
}

function makeDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'vsnd-sound-server-')); // of mode 0700
}

function listIfThere(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
