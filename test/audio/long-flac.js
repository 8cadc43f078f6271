/**
 * Two hours of FLAC, 44.1 kHz stereo, as a compact disc has it: read to the end in less than 150 MB for the whole process, every
 * frame at its place, and entered anywhere without delay; then played by `vsnd play` through an emulated card, which is in the
 * same process. Needs Debian's `flac`. `--minutes N` makes it shorter.
 */
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openAudio } from '../../dist/audio/open-audio.js';

const RATE = 44_100;
const MOST_MEGABYTES = 150;
/** With the emulated machine, a hundred times as fast as it sounds: Node lets more garbage lie. */
const MOST_MEGABYTES_PLAYED = 170;
const MOST_MILLISECONDS = 1000;

/** Frame `frame` of the recording: half a ramp and half noise, so that one at the wrong place is found out. */
function writeFrame(bytes, at, frame) {
  bytes.writeInt16LE((frame % 0x8000) - 0x4000 + (Math.imul(frame, 0x9e37_79b1) >> 25), at);
  bytes.writeInt16LE(Math.imul(frame, 0x85eb_ca6b) >> 20, at + 2);
}

function* seconds(count) {
  for (let second = 0; second < count; second++) {
    const bytes = Buffer.alloc(RATE * 4);
    for (let frame = 0; frame < RATE; frame++) writeFrame(bytes, frame * 4, second * RATE + frame);
    yield bytes;
  }
}

async function encode(path, count) {
  const raw = [
    '--force-raw-format',
    '--endian=little',
    '--sign=signed',
    '--channels=2',
    '--bps=16',
    `--sample-rate=${RATE}`,
  ];
  const flac = spawn('flac', ['--silent', '-0', ...raw, '-o', path, '-'], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const ended = new Promise((resolve, reject) => {
    flac.once('error', reject);
    flac.once('exit', (status) =>
      status === 0 ? resolve() : reject(new Error(`flac ended with ${status}`)),
    );
  });
  await Promise.all([pipeline(Readable.from(seconds(count)), flac.stdin), ended]);
}

/** In a process of its own: reads the whole file, then enters it at some places. */
async function read(path, frames) {
  const source = await openAudio(path);
  if (source.frames !== frames) throw new Error(`it says ${source.frames} frames instead of ${frames}`);
  const expected = Buffer.alloc(4);
  const check = (piece, first) => {
    for (const at of [0, piece.length - 4]) {
      writeFrame(expected, 0, first + at / 4);
      if (!expected.equals(piece.subarray(at, at + 4)))
        throw new Error(`frame ${first + at / 4} is another one`);
    }
  };
  const started = process.cpuUsage();
  let frame = 0;
  for await (const piece of source.read()) {
    check(piece, frame);
    frame += piece.length / 4;
  }
  if (frame !== frames) throw new Error(`it had ${frame} frames instead of ${frames}`);
  const { user, system } = process.cpuUsage(started);

  let slowest = 0;
  for (const part of [0.999, 0.001, 0.5, 0.123, 0.877]) {
    const from = Math.floor(frames * part);
    const asked = performance.now();
    for await (const piece of source.read(from)) {
      check(piece, from);
      break;
    }
    slowest = Math.max(slowest, performance.now() - asked);
  }
  await source.close();
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
  console.log(
    `${frames} frames: ${((user + system) / 1e6).toFixed(1)} s of CPU, peak ${peak.toFixed(0)} MB, entered in ${slowest.toFixed(0)} ms`,
  );
  if (peak >= MOST_MEGABYTES) throw new Error(`${peak.toFixed(0)} MB; allowed: less than ${MOST_MEGABYTES}`);
  if (slowest >= MOST_MILLISECONDS)
    throw new Error(`entered in ${slowest.toFixed(0)} ms; allowed: less than ${MOST_MILLISECONDS}`);
}

/** Plays it all with the command. */
async function play(path, frames) {
  const tell = 'data:text/javascript,process.on("exit",()=>console.error(process.resourceUsage().maxRSS))';
  const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
  const args = ['--import', tell, main, 'play', '--emulate', '--fast', '--sink', 'null', '--json', path];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  const peak = Number(stderr) / 1024;
  console.log(`played: peak ${peak.toFixed(0)} MB`);
  if (JSON.parse(stdout).frames !== frames) throw new Error(`not all frames were played: ${stdout}`);
  if (!(peak < MOST_MEGABYTES_PLAYED))
    throw new Error(`allowed: less than ${MOST_MEGABYTES_PLAYED} MB; ${stderr}`);
}

async function main(minutes) {
  const directory = mkdtempSync(join(tmpdir(), 'vsnd-long-'));
  try {
    const path = join(directory, 'long.flac');
    await encode(path, minutes * 60);
    console.log(`${minutes} minutes in ${(statSync(path).size / 1e6).toFixed(0)} MB of FLAC`);
    const child = spawn(
      process.execPath,
      [fileURLToPath(import.meta.url), '--read', path, String(minutes * 60 * RATE)],
      {
        stdio: 'inherit',
      },
    );
    process.exitCode = await new Promise((resolve) => child.once('exit', (status) => resolve(status ?? 1)));
    await play(path, minutes * 60 * RATE);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const [what, value, frames] = process.argv.slice(2);
if (what === '--read') await read(value, Number(frames));
else await main(what === '--minutes' ? Number(value) : 120);
