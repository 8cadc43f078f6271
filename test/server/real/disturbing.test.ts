import { connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { encodePacket } from '../../../src/pulse/packet.ts';
import { TagWriter } from '../../../src/pulse/tagged.ts';
import { noise, occurrences, writeRaw, writeWav } from '../../bridge/real/sound.ts';
import { STEREO } from '../../sound.ts';
import { outcomeOf, ServeCommand, startServe } from './serve-command.ts';

const AUTH = encodePacket(0xffff_ffff, new TagWriter().u32(8).u32(0).u32(35).value(Buffer.alloc(256)).bytes);

/** A command without fields: for what a server says about everything. */
const ask = (number: number, tag: number) =>
  encodePacket(0xffff_ffff, new TagWriter().u32(number).u32(tag).bytes);

/** Data for a stream that nobody has. */
const NOBODYS = encodePacket(3, Buffer.alloc(1 << 20));

/** What hostile clients do with a connection. */
const HOSTILE: Readonly<Record<string, (socket: Socket) => void>> = {
  'says nothing': () => {},
  'sends random bytes': (socket) => socket.write(noise('s16_le', 2, 5000)),
  'says that it sends a command of 4 GiB': (socket) => socket.write(Buffer.alloc(20, 0xff)),
  'asks and asks, and does not read': (socket) => {
    socket.pause().write(AUTH);
    socket.write(Buffer.concat(Array.from({ length: 5000 }, (_, tag) => ask(22, tag + 1))));
  },
  'sends data for streams that it has not': (socket) => {
    socket.write(AUTH);
    for (let count = 0; count < 50; count++) socket.write(NOBODYS);
  },
};

describe('a program that plays', () => {
  test.each(Object.entries(HOSTILE))(
    'is heard bit for bit beside 200 clients of which each %s',
    async (_, harm) => {
      const serve = await startServe('--latency', '500');
      const sound = noise('s16_le', 2, 4 * STEREO.rate);
      const file = writeWav(serve.directory, 'sound.wav', STEREO, sound);
      const playing = outcomeOf(serve.spawn(['paplay', file]));
      await serve.event('start');
      const clients = Array.from({ length: 200 }, () => connect(serve.socket).on('error', () => {}));
      for (const client of clients) client.once('connect', () => harm(client));
      const { status, stderr } = await playing;
      expect(status, stderr).toBe(0);
      for (const client of clients) client.destroy();
      expect((await serve.run(['pactl', 'info'])).status).toBe(0);
      const takes = await serve.stop();
      expect(takes.reduce((sum, take) => sum + occurrences(take, sound), 0)).toBe(1);
    },
  );
});

describe('a server that is restarted', () => {
  test('is waited for by mpv where systemd, or somebody else, holds the socket', async () => {
    const serve = new ServeCommand([], { isHeld: true });
    await serve.event('listen');
    const sound = writeWav(serve.directory, 'sound.wav', STEREO, noise('s16_le', 2, 6 * STEREO.rate));
    const playing = outcomeOf(serve.spawn(['mpv', '--no-config', '--no-video', '--ao=pulse', sound]));
    await serve.event('start');
    const { stdout } = await serve.run(['pgrep', '--parent', `${serve.pid}`]);
    process.kill(Number(stdout.toString()), 'SIGTERM');
    await serve.event('start', 2);
    const { status, stderr } = await playing;
    expect(status, stderr).toBe(0);
    await serve.stop();
  });

  test('is there again for the next program, at the same socket, also where it was killed', async () => {
    const serve = await startServe();
    const file = writeRaw(serve.directory, 'sound.raw', noise('s16_le', 2, 4800));
    serve.child.kill('SIGKILL');
    await outcomeOf(serve.child);
    const again = new ServeCommand([], { directory: serve.directory });
    await again.event('listen');
    expect((await again.run(['pacat', file])).status).toBe(0);
    await again.stop();
  });

  test('is one: a second one is told of the first', async () => {
    const serve = await startServe();
    const second = new ServeCommand([], { directory: serve.directory });
    const { status, stderr } = await outcomeOf(second.child);
    expect(status).toBe(1);
    expect(stderr).toContain('a sound server answers at');
    await serve.stop();
  });
});
