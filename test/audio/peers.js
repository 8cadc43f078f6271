// Frames that `vsnd play` hears of recordings, against what the tool that others have hears of them: of all fixtures, and of files
// made here that others have had trouble with. Debian: flac lame mpg123 opus-tools sox vorbis-tools ffmpeg.
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openAudio } from '../../dist/audio.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const FIXTURES = fileURLToPath(new URL('fixtures/', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'vsnd-peers-'));
const path = (name) => join(directory, name);

/** How each tool writes what it hears of `from` into `to`, a WAV file. */
const DECODE = {
  flac: (from, to) => ['flac', ['--silent', '--force', '--decode', '-o', to, from]],
  'flac -F': (from, to) => ['flac', ['--silent', '--force', '--decode', '-F', '-o', to, from]],
  mpg123: (from, to) => ['mpg123', ['-q', '-w', to, from]],
  opusdec: (from, to) => ['opusdec', ['--quiet', '--force-wav', from, to]],
  oggdec: (from, to) => ['oggdec', ['--quiet', '-o', to, from]],
  sox: (from, to) => ['sox', ['-V1', from, to]],
  ffmpeg: (from, to) => ['ffmpeg', ['-v', 'error', '-y', '-i', from, to]],
};

/** By the ends of fixtures' names. */
const PEERS = { flac: 'flac', oga: 'ffmpeg', mp3: 'mpg123', mp2: 'mpg123', ogg: 'oggdec', opus: 'opusdec' };

/** What is beyond the decoders: not heard, but not in silence. */
const REFUSED = 'refused, and said why';

const hasTool = (name) => spawnSync(name, ['--version']).error === undefined;

/** Frames that `vsnd play` says it has played, and its exit status. */
function heardByVsnd(file) {
  const args = [MAIN, 'play', '--emulate', '--fast', '--sink', 'null', '--json', file];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const [played] = status === 0 ? JSON.parse(stdout).files : [];
  const frames = played && Math.round((played.playedFrames * played.rate) / played.playedAs.rate);
  return { status, frames, stderr };
}

async function heardBy(tool, file) {
  const to = path('peer.wav');
  rmSync(to, { force: true });
  const [command, args] = DECODE[tool](file, to);
  spawnSync(command, args);
  const source = await openAudio(to).catch(() => undefined);
  await source?.close();
  return source?.frames;
}

/** Rows: a name, its file and the tool; where the tool is wrong, how many frames are right, and why. */
const rows = readdirSync(FIXTURES).map((name) => ({
  name,
  file: join(FIXTURES, name),
  tool: PEERS[name.split('.').at(-1)],
  ...(name === 'noise20.flac' && { why: REFUSED }),
}));

function row(name, tool, file, { frames, why } = {}) {
  rows.push({ name, tool, file, frames, why });
}

const run = (command, ...args) =>
  execFileSync(command, args, { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] });
const joined = (name, ...parts) => {
  writeFileSync(
    path(name),
    Buffer.concat(parts.map((part) => (typeof part === 'string' ? readFileSync(part) : part))),
  );
  return path(name);
};
const fixture = (name) => join(FIXTURES, name);

function makeOddFiles() {
  const synth = ['synth', '0.5', 'sine', '300', 'sine', '500', 'vol', '0.5'];
  const sox = (name, ...options) => {
    run('sox', '-D', '-n', ...options, path(name), ...synth);
    return path(name);
  };
  const wav = sox('x.wav', '-r', '48000', '-c', '2', '-b', '16');
  const tag = Buffer.concat([Buffer.from('ID3\x04\0\0\0\0\x01\0', 'latin1'), Buffer.alloc(128, 7)]);

  row(
    'sox to a pipe',
    'sox',
    joined(
      'piped.wav',
      run('sox', '-D', '-n', '-r', '48000', '-c', '2', '-b', '16', '-t', 'wav', '-', ...synth),
    ),
  );
  row(
    'ffmpeg AIFF to a pipe',
    'ffmpeg',
    joined('piped.aiff', run('ffmpeg', '-v', 'error', '-i', wav, '-f', 'aiff', '-')),
    { frames: 24_000, why: 'ffmpeg does not read what it wrote' },
  );
  row(
    'ffmpeg AU to a pipe',
    'ffmpeg',
    joined('piped.au', run('ffmpeg', '-v', 'error', '-i', wav, '-f', 'au', '-')),
  );
  for (const bits of ['8', '16', '24', '32'])
    row(`WAV of ${bits} bits`, 'sox', sox(`${bits}.wav`, '-r', '44100', '-c', '3', '-b', bits));
  for (const type of ['aiff', 'aifc', 'au', 'snd'])
    row(type, 'sox', sox(`x.${type}`, '-r', '44100', '-c', '2', '-b', '24'));
  row('RIFX', 'sox', sox('rifx.wav', '-r', '44100', '-c', '2', '-b', '24', '-B'));
  row('ID3v2 before WAV', 'ffmpeg', joined('tagged.wav', tag, wav));
  row(
    'FLAC with 50 bytes of noise behind',
    'flac -F',
    joined(
      'noise.flac',
      fixture('noise16.flac'),
      Buffer.from(Array.from({ length: 50 }, (_, at) => (at * 167) & 0xff)),
    ),
  );
  row('FLAC to a pipe', 'flac', joined('piped.flac', run('flac', '--silent', '--stdout', wav)));
  row('FLAC behind ID3v2', 'flac', joined('tagged.flac', tag, fixture('noise16.flac')));
  run('flac', '--silent', '--force', '--ogg', '-o', path('x.oga'), wav);
  row('Ogg FLAC', 'flac', path('x.oga'));

  for (const rate of ['8', '11.025', '16', '22.05', '24', '32', '44.1', '48']) {
    run('lame', '--quiet', '-b', '64', '--resample', rate, wav, path(`${rate}.mp3`));
    row(`MP3 of ${rate} kHz`, 'mpg123', path(`${rate}.mp3`));
  }
  run('lame', '--quiet', '-V', '2', '-m', 'm', wav, path('mono.mp3'));
  run('lame', '--quiet', '-b', '128', '-t', wav, path('untagged.mp3'));
  row('MP3, mono, of variable rate', 'mpg123', path('mono.mp3'));
  row('MP3 without a tag', 'mpg123', path('untagged.mp3'));
  row('MP3 joined to one without a tag', 'mpg123', joined('two.mp3', path('48.mp3'), path('untagged.mp3')));
  row('MP3 joined to one with a tag', 'mpg123', joined('tags.mp3', path('48.mp3'), path('48.mp3')), {
    frames: 48_000,
    why: 'mpg123 hears the second tag, and what the encoder has added',
  });
  row(
    'ID3v2 within joined MP3',
    'mpg123',
    joined('within.mp3', path('untagged.mp3'), tag, path('untagged.mp3')),
  );
  run('lame', '--quiet', '--freeformat', '-b', '400', wav, path('free.mp3'));
  row('MP3 of free format', 'mpg123', path('free.mp3'), { why: REFUSED });
  run('opusenc', '--quiet', wav, path('x.opus'));
  run('oggenc', '--quiet', '-o', path('x.ogg'), wav);
  row('Opus', 'opusdec', path('x.opus'));
  row('Opus joined to itself, one serial', 'opusdec', joined('xx.opus', path('x.opus'), path('x.opus')), {
    frames: 48_000,
    why: 'opusdec ends with the first',
  });
  row('Opus joined to another', 'opusdec', joined('xy.opus', path('x.opus'), fixture('sweep.opus')));
  row('Vorbis', 'oggdec', path('x.ogg'));
  row('Vorbis joined to another', 'oggdec', joined('xx.ogg', path('x.ogg'), path('x.ogg')), {
    frames: 48_000,
    why: 'oggdec hears padding of the second',
  });
  appendFileSync(path('x.ogg'), Buffer.alloc(5000, 3));
  row('Vorbis with junk behind', 'oggdec', path('x.ogg'));
}

const count = { passed: 0, failed: 0, skipped: 0 };

async function compare({ name, file, tool, frames, why }) {
  const vsnd = heardByVsnd(file);
  const peer = hasTool(tool.split(' ')[0]) ? await heardBy(tool, file) : undefined;
  const right = frames ?? peer;
  const isRight = why === REFUSED ? vsnd.status === 1 && vsnd.stderr !== '' : vsnd.frames === right;
  const verdict = right === undefined && why !== REFUSED ? 'skipped' : isRight ? 'passed' : 'failed';
  count[verdict] += 1;
  const cells = [
    name.padEnd(40),
    String(vsnd.frames ?? '-').padStart(9),
    String(peer ?? '-').padStart(9),
    ` ${tool}`.padEnd(10),
  ];
  console.log(`${cells.join('')}${verdict === 'passed' ? (why ?? '') : verdict.toUpperCase()}`);
}

try {
  const missing = ['flac', 'lame', 'mpg123', 'opusenc', 'oggenc', 'sox', 'ffmpeg'].filter(
    (tool) => !hasTool(tool),
  );
  if (missing.length === 0) makeOddFiles();
  else
    console.log(
      `fixtures only: not installed: ${missing.join(', ')} (Debian: flac lame mpg123 opus-tools vorbis-tools sox ffmpeg)`,
    );
  console.log(`${'frames heard by'.padEnd(40)}${'vsnd'.padStart(9)}${'peer'.padStart(9)}`);
  for (const each of rows) await compare(each);
} finally {
  rmSync(directory, { recursive: true });
}
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exitCode = count.failed === 0 ? 0 : 1;
