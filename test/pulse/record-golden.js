// Records what real clients ask a server for, into golden.json: each command, in hex. Debian: pulseaudio-utils
// alsa-utils libasound2-plugins mpv gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-pulseaudio sox
// libsox-fmt-pulse ffmpeg. After npm run build.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSoundServer, openCard } from '../../dist/index.js';

const COMMANDS = 0xffff_ffff;
const COOKIE_AT = 20; // in AUTH: command, tag, version (5 each), the type and length of the cookie (5)

const place = mkdtempSync(join(tmpdir(), 'vsnd-golden-'));
const sound = join(place, 'sound.wav');
writeFileSync(sound, wav(Buffer.alloc(0.3 * 192_000)));

/** By a name: what is run, and for how long at the most, ms. */
const PROGRAMS = {
  'pactl info': ['pactl', 'info'],
  'pactl list': ['pactl', 'list'],
  'pactl volume and mute': ['sh', '-c', 'pactl set-sink-volume @DEFAULT_SINK@ 50%; pactl set-sink-mute 0 1'],
  paplay: ['paplay', sound],
  'paplay with a role': ['paplay', '--property=media.role=navigation', sound],
  'pacat, 20 ms': ['pacat', '--raw', '--latency-msec=20', sound],
  parec: ['timeout', '1', 'parec', '--latency-msec=20'],
  aplay: ['aplay', '-q', '-D', 'pulse', sound],
  arecord: ['arecord', '-q', '-D', 'pulse', '-d', '1', join(place, 'said.wav')],
  sox: ['sox', '-q', sound, '-t', 'pulseaudio'],
  ffmpeg: ['ffmpeg', '-nostdin', '-re', '-i', sound, '-f', 'pulse', 'a sound'],
  'ffmpeg, recording': [
    'ffmpeg',
    '-nostdin',
    '-y',
    '-f',
    'pulse',
    '-i',
    'default',
    '-t',
    '1',
    join(place, 'said.wav'),
  ],
  mpv: ['mpv', '--no-config', '--no-video', '--ao=pulse', sound],
  'gst-launch': ['gst-launch-1.0', 'filesrc', `location=${sound}`, '!', 'wavparse', '!', 'pulsesink'],
  'ffplay (SDL)': ['ffplay', '-nodisp', '-autoexit', sound],
};

process.env.VSND_EMULATE = '1';
const card = await openCard({ control: false });
const server = await createSoundServer(card, { path: join(place, 's', 'native') });
const golden = {};
for (const [name, [program, ...args]] of Object.entries(PROGRAMS)) {
  const heard = [];
  const path = join(place, `proxy${Object.keys(golden).length}`);
  const proxy = createServer((client) => {
    const chunks = [];
    heard.push(chunks);
    const onwards = connect(server.path);
    client
      .on('data', (chunk) => chunks.push(chunk))
      .on('error', () => {})
      .pipe(onwards)
      .on('error', () => {});
    onwards.pipe(client);
  }).listen(path);
  await once(proxy, 'listening');
  const env = {
    ...process.env,
    PULSE_SERVER: `unix:${path}`,
    HOME: place,
    XDG_RUNTIME_DIR: place,
    SDL_AUDIODRIVER: 'pulse',
  };
  await once(spawn(program, args, { env, stdio: 'ignore' }), 'exit');
  await new Promise((resolve) => proxy.close(resolve));
  golden[name] = heard.filter(({ length }) => length > 0).map((chunks) => commandsOf(Buffer.concat(chunks)));
}
await server.close();
await card.close();
rmSync(place, { recursive: true });
writeFileSync(new URL('golden.json', import.meta.url), `${JSON.stringify(golden, null, 1)}\n`);

/** The commands of a connection; of polling the first two. */
function commandsOf(bytes) {
  const commands = [];
  for (let at = 0; at + 20 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const isCommand = bytes.readUInt32BE(at + 4) === COMMANDS;
    if (isCommand) commands.push(withoutSecrets(bytes.subarray(at + 20, at + 20 + length)));
    at += 20 + length;
  }
  const seen = new Map();
  return commands.filter((command) => {
    const number = command.slice(2, 10);
    seen.set(number, (seen.get(number) ?? 0) + 1);
    return seen.get(number) <= 2;
  });
}

/** Of the same length, without this machine's cookie and its number. */
function withoutSecrets(command) {
  const clean = Buffer.from(command);
  if (clean.readUInt32BE(1) === 8) clean.fill(0, COOKIE_AT, COOKIE_AT + 256);
  const id = readFileSync('/etc/machine-id', 'latin1').trim();
  for (let at = clean.indexOf(id); at !== -1; at = clean.indexOf(id)) clean.fill('0', at, at + id.length);
  return clean.toString('hex');
}

function wav(data) {
  const header = Buffer.alloc(44);
  header.write('RIFF');
  header.writeUInt32LE(36 + data.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(2, 22);
  header.writeUInt32LE(48_000, 24);
  header.writeUInt32LE(192_000, 28);
  header.writeUInt16LE(4, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}
