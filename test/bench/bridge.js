// What it costs to take a guest's sound out of PulseAudio, against PulseAudio's own program that does so.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadAddon } from '../../dist/xen/linux/addon.js';
import { median, printHead, printRow } from './figures.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le'];

/** s: PulseAudio plays in real time. */
const SECONDS = 10;
const MOST_ROUNDS = 3;

/** Why it cannot be measured here; undefined where it can. */
function whatIsMissing() {
  const isThere = (program) =>
    (process.env.PATH ?? '').split(':').some((directory) => existsSync(join(directory, program)));
  const missing = ['pulseaudio', 'paplay', 'parec'].filter((program) => !isThere(program));
  if (missing.length > 0) return `${missing.join(', ')} not installed (Debian: pulseaudio pulseaudio-utils)`;
  try {
    loadAddon();
    return undefined;
  } catch {
    return 'the addon is not built (npm run build:native)';
  }
}

/** A PulseAudio with a sink that goes nowhere; gives the environment of its programs. */
async function startPulse(directory) {
  const socket = join(directory, 'native');
  const script = join(directory, 'script.pa');
  writeFileSync(
    script,
    `load-module module-null-sink sink_name=nowhere rate=48000\n` +
      `load-module module-native-protocol-unix auth-anonymous=1 socket=${socket}\n`,
  );
  const env = {
    ...process.env,
    XDG_RUNTIME_DIR: directory,
    HOME: directory,
    PULSE_SERVER: `unix:${socket}`,
    VSND_CONTROL_DIR: join(directory, 'vsnd'),
  };
  const options = ['-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no', '--disable-shm=yes'];
  const server = spawn('pulseaudio', [...options, '-F', script], { env, stdio: 'ignore' });
  while (!existsSync(socket)) {
    if (server.exitCode !== null) throw new Error('pulseaudio has not started');
    await wait(50);
  }
  return { env, server };
}

/** ms that a process has run so far, all of its threads. */
function cpuOf({ pid }) {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6;
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill();
  await once(child, 'exit');
}

/** What `reader` runs while a file is played into `sink`, ms a minute. */
async function whilePlaying(env, sink, file, seconds, reader) {
  const before = cpuOf(reader);
  const player = spawn('paplay', [...RAW, `--device=${sink}`, file], { env, stdio: 'ignore' });
  const [status] = await once(player, 'exit');
  if (status !== 0) throw new Error(`paplay has failed: ${status}`);
  return ((cpuOf(reader) - before) * 60) / seconds;
}

export async function run({ rounds, share }) {
  const missing = whatIsMissing();
  if (missing !== undefined) {
    console.log(`bridge: skipped, ${missing}`);
    return;
  }
  printHead(
    [
      'CPU ms a minute of 48 kHz s16 stereo, whole process, played by paplay in real time',
      'vsnd: with its emulated Xen and backend, into a clock; parec: reads what a null sink plays, into nothing',
    ],
    ['vsnd', 'parec', 'ratio'],
  );
  const directory = mkdtempSync(join(tmpdir(), 'vsnd-bench-'));
  const children = [];
  try {
    const { env, server } = await startPulse(directory);
    children.push(server);
    const seconds = SECONDS * share;
    const file = join(directory, 'sound.raw');
    writeFileSync(file, Buffer.alloc(seconds * 48_000 * 4, 0x15));
    const args = [
      'bridge',
      'pulse',
      '--emulate',
      '--json',
      '--sink',
      'null',
      '--no-source',
      '--name',
      'card',
    ];
    const bridge = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    children.unshift(bridge);
    await once(createInterface({ input: bridge.stdout }), 'line'); // it says that it is connected
    const parec = spawn('parec', [...RAW, '--device=nowhere.monitor'], {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    children.unshift(parec);
    parec.stdout.resume();
    const ours = [];
    const theirs = [];
    await whilePlaying(env, 'card', file, seconds, bridge); // warming up
    for (let round = 0; round < Math.min(rounds, MOST_ROUNDS); round++) {
      ours.push(await whilePlaying(env, 'card', file, seconds, bridge));
      theirs.push(await whilePlaying(env, 'nowhere', file, seconds, parec));
    }
    const ratio = median(ours.map((value, n) => value / theirs[n]));
    printRow('vsnd bridge pulse', [median(ours), median(theirs), ratio]);
  } finally {
    for (const child of children) await end(child);
    rmSync(directory, { recursive: true });
  }
}
