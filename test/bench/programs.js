// What whole programs cost that play a file, each in a process of its own, against npm `speaker`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WavWriter } from '../../dist/wav/writer.js';
import { median, printHead, printRow } from './figures.js';
import { alsaWith, HOW_TO_INSTALL_SPEAKER, isSpeakerInstalled, NULL_CARD } from './peers.js';
import { cpuOf, pathOf } from './process-cpu.js';
import { run as measureStartUp } from './start-up.js';

/** s16 stereo, 44100 Hz: the recording that comes with vsnd, behind a header of 44 bytes. */
const HELLO = readFileSync(pathOf('../../examples/hello.wav')).subarray(44);
const BYTES_A_MINUTE = 60 * 44_100 * 4;

/** Minutes in the long file; the short one shows what is spent before and after playing. */
const MINUTES = 10;

const PLAY = [pathOf('../../dist/cli/main.js'), 'play', '--emulate', '--fast', '--sink', 'null'];
const DROP_IN = [pathOf('programs/drop-in.js')];
const SPEAKER = [pathOf('programs/speaker.cjs')];

/** Writes `bytes` bytes of the recording, again and again, as a WAV file. */
function writeWav(path, bytes) {
  const writer = new WavWriter(path, { format: 's16_le', rate: 44_100, channels: 2 });
  for (let left = bytes; left > 0; left -= HELLO.length) writer.write(HELLO.subarray(0, left));
  writer.close();
  return path;
}

/** Compresses a WAV file; undefined where there is no `flac` to do it. */
function compress(wav) {
  const path = `${wav}.flac`;
  const { status } = spawnSync('flac', ['--silent', '-o', path, wav]);
  return status === 0 ? path : undefined;
}

/** A long recording and a short one, in each kind of file. */
function makeFiles(directory, minutes) {
  const long = writeWav(join(directory, 'long.wav'), BYTES_A_MINUTE * minutes);
  const short = writeWav(join(directory, 'short.wav'), BYTES_A_MINUTE / 60);
  return { wav: { long, short }, flac: { long: compress(long), short: compress(short) } };
}

export async function run({ rounds, share }) {
  printHead(
    [
      'CPU ms a minute of 44.1 kHz s16 stereo, whole process, played as fast as it goes; start-up is not counted',
      'vsnd: with its emulated Xen and backend, into a clock; speaker: npm speaker 0.5.5, into the null device of ALSA',
    ],
    ['vsnd', 'speaker', 'ratio', 'aim'],
  );
  const directory = mkdtempSync(join(tmpdir(), 'vsnd-bench-'));
  try {
    const env = alsaWith(NULL_CARD, directory);
    const minutes = MINUTES * share;
    const { wav, flac } = makeFiles(directory, minutes);
    const perMinute = async (program, { long, short }) => {
      return ((await cpuOf([...program, long], env)) - (await cpuOf([...program, short], env))) / minutes;
    };
    const hasSpeaker = isSpeakerInstalled();
    const rows = [
      { name: 'vsnd play FILE.wav', program: PLAY, files: wav, figures: [], aim: '<= 1' },
      { name: 'vsnd play FILE.flac', program: PLAY, files: flac, figures: [] },
      { name: "import Speaker from 'vsnd/speaker'", program: DROP_IN, files: wav, figures: [] },
    ];
    const playable = rows.filter(({ files }) => files.long !== undefined);
    const peer = [];
    for (let round = 0; round < rounds; round++) {
      for (const { program, files, figures } of playable) figures.push(await perMinute(program, files));
      if (hasSpeaker) peer.push(await perMinute(SPEAKER, wav));
    }
    for (const { name, figures, aim = '' } of playable) {
      const ratio = () => median(figures.map((value, n) => value / peer[n]));
      const against = hasSpeaker ? [median(peer), ratio()] : ['not installed', ''];
      printRow(name, [median(figures), ...against, aim]);
    }
    if (playable.length < rows.length) console.log('FLAC: the command flac is not installed (Debian: flac)');
    if (!hasSpeaker) console.log(HOW_TO_INSTALL_SPEAKER);
  } finally {
    rmSync(directory, { recursive: true });
  }
  console.log();
  await measureStartUp({ rounds });
}
