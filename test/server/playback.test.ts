import { describe, expect, test } from 'vitest';
import { encodePacket } from '../../src/pulse/packet.ts';
import { noise, occurrences } from '../bridge/real/sound.ts';
import { type ManualServer, startServer } from './manual-server.ts';
import { RawClient } from './raw-client.ts';

const UNDERFLOW = 63;
const STARTED = 86;
const OVERFLOW = 62;

const SECOND = 192_000;
const TICK = 1200; // 25 ms

/** Frames after which a client sends what it has been asked for. */
const PROMPT = 120;

const ms = (time: number) => time * 192;

/** Plays all of `sound`, as a client does that sends what it is asked for; resolves when it has left the card. */
async function playAll(
  { guest }: ManualServer,
  client: RawClient,
  channel: number,
  sound: Uint8Array,
): Promise<void> {
  let at = client.feed(channel, sound, 0);
  for (let turn = 0; at < sound.length && turn < 10_000; turn++) {
    await guest.clock.advance(PROMPT);
    at = client.feed(channel, sound, at);
  }
  const drained = client.request('drain', (writer) => writer.u32(channel));
  for (let turn = 0; !client.isAnswered(drained) && turn < 1000; turn++) await guest.clock.advance(TICK);
  await client.reply(drained);
}

const heard = ({ guest }: ManualServer) => Buffer.from(guest.device.heard());

describe('one client at the format of the card', () => {
  test.each([
    ['that leaves the buffer to the server', {}],
    ['of 20 ms', { targetLength: ms(20), leastRequest: ms(5) }],
    ['of 100 ms without a prebuffer', { targetLength: ms(100), prebuffer: 0, leastRequest: ms(20) }],
  ])('%s is heard, bit for bit, without a gap', async (_, wishes) => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const sound = noise('s16_le', 2, 48_000);
    const { channel } = await client.play(wishes);
    await playAll(server, client, channel, sound);
    expect(occurrences(heard(server), sound)).toBe(1);
    expect(server.events).not.toContain('xrun');
    expect(client.count(STARTED)).toBe(1);
  });

  test('is answered that it has drained when the last of it has left the card, not before', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const sound = noise('s16_le', 2, 9600);
    const { channel } = await client.play();
    client.write(channel, sound);
    const drained = client.request('drain', (writer) => writer.u32(channel));
    while (!client.isAnswered(drained)) {
      expect(heard(server).includes(sound)).toBe(false);
      await server.guest.clock.advance(100);
    }
    expect(occurrences(heard(server), sound)).toBe(1);
    expect(client.count(UNDERFLOW)).toBe(0);
  });

  test('costs nothing when it has gone: the card is closed after two seconds, and the next sound is complete', async () => {
    const server = await startServer();
    for (const frames of [4800, 480]) {
      const client = new RawClient(server.hub);
      const sound = noise('s16_le', 2, frames);
      const { channel } = await client.play();
      await playAll(server, client, channel, sound);
      client.session.close();
      await server.guest.clock.advance(3 * 48_000);
      expect(server.sink.isOpen).toBe(false);
      expect(server.events.at(-1)).toBe('stop');
      expect(occurrences(heard(server), sound)).toBe(1);
    }
    expect(server.events.filter((event) => event === 'start')).toHaveLength(2);
  });

  test('that sends no more is told once, and goes on', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const sound = noise('s16_le', 2, 24_000);
    const { channel } = await client.play({ targetLength: ms(100), prebuffer: ms(50), leastRequest: ms(10) });
    client.feed(channel, sound, 0);
    await server.guest.clock.advance(24_000);
    expect(client.count(UNDERFLOW)).toBe(1);
    await playAll(server, client, channel, sound);
    expect(occurrences(heard(server), sound)).toBe(1);
    expect(client.count(STARTED)).toBe(2);
  });

  test('without a prebuffer loses what is late, and its time goes on', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const sound = noise('s16_le', 2, 96_000);
    const { channel } = await client.play({ targetLength: ms(100), prebuffer: 0, leastRequest: ms(20) });
    const asked = () => client.asked.get(channel) ?? 0;
    const fed = client.feed(channel, sound, 0);
    await server.guest.clock.advance(48_000);
    expect(asked()).toBeGreaterThan(0.9 * SECOND);
    await playAll(server, client, channel, sound.subarray(fed));
    const whole = heard(server);
    const late = whole.indexOf(sound.subarray(SECOND * 1.2, SECOND * 1.3));
    const first = whole.indexOf(sound.subarray(0, ms(90)));
    expect(late - first).toBe(SECOND * 1.2); // where it belongs, although much before it was lost
  });

  test('is paused, flushed and goes on', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const [before, after] = [noise('s16_le', 2, 48_000), noise('s16_le', 2, 9600)];
    const { channel } = await client.play({ targetLength: ms(200), prebuffer: 0, leastRequest: ms(20) });
    client.feed(channel, before, 0);
    await server.guest.clock.advance(2 * TICK);
    const corked = (isCorked: boolean) =>
      client.ask('corkPlayback', (writer) => writer.u32(channel).boolean(isCorked));
    await corked(true);
    await client.ask('flushPlayback', (writer) => writer.u32(channel));
    await server.guest.clock.advance(10 * TICK);
    const silent = heard(server).length;
    await server.guest.clock.advance(10 * TICK);
    expect(
      heard(server)
        .subarray(silent)
        .every((byte) => byte === 0),
    ).toBe(true);
    await corked(false);
    await playAll(server, client, channel, after);
    expect(occurrences(heard(server), after)).toBe(1);
  });

  test('that has sent all it was asked for before it is uncorked, as Chromium does, is heard then', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const sound = noise('s16_le', 2, 48_000);
    const { channel } = await client.play({ targetLength: ms(100), leastRequest: ms(10), isCorked: true });
    const at = client.feed(channel, sound, 0);
    await server.guest.clock.advance(TICK);
    expect(server.sink.isOpen).toBe(false);
    await client.ask('corkPlayback', (writer) => writer.u32(channel).boolean(false));
    await playAll(server, client, channel, sound.subarray(at));
    expect(occurrences(heard(server), sound)).toBe(1);
    expect(client.count(STARTED)).toBe(1);
  });

  test('that sends more than there may be is told, and heard on', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const { channel } = await client.play();
    client.write(channel, new Uint8Array(5 << 20));
    expect(client.count(OVERFLOW)).toBeGreaterThan(0);
    await server.guest.clock.advance(TICK);
    expect(client.isClosed).toBe(false);
  });
});

describe('latency', () => {
  test('is told as it is: what was just played is that much ahead of the loudspeaker', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const sound = noise('s16_le', 2, 3 * 48_000);
    const { channel } = await client.play();
    client.feed(channel, sound, 0);
    await server.guest.clock.advance(20 * TICK + 500);
    const fields = await client.ask('playbackLatency', (writer) =>
      writer.u32(channel).timeval({ seconds: 1, microseconds: 2 }),
    );
    const usec = fields.usec();
    fields.usec();
    expect(fields.boolean()).toBe(true);
    expect(fields.timeval()).toEqual({ seconds: 1, microseconds: 2 });
    fields.timeval();
    expect(fields.s64()).toBe(client.session.inputs.get(channel)?.indexes.writeIndex);
    const playedBytes = fields.s64() - (usec * SECOND) / 1e6;
    expect(playedBytes / 4).toBeCloseTo(20 * TICK + 500, -2);
  });

  test('is what the most demanding client asked for', async () => {
    const server = await startServer();
    const relaxed = new RawClient(server.hub);
    const first = await relaxed.play();
    relaxed.feed(first.channel, new Uint8Array(SECOND * 2), 0);
    await server.guest.clock.advance(10 * TICK);
    const before = server.sink.latency;
    const demanding = new RawClient(server.hub);
    const second = await demanding.play({ targetLength: ms(20), leastRequest: ms(5) });
    demanding.feed(second.channel, new Uint8Array(SECOND), 0);
    for (let tick = 0; tick < 10; tick++) {
      await server.guest.clock.advance(TICK);
      relaxed.feed(first.channel, new Uint8Array(SECOND), 0);
      demanding.feed(second.channel, new Uint8Array(SECOND), 0);
    }
    expect(before).toBeGreaterThan(70_000);
    expect(server.sink.latency).toBeLessThan(55_000);
    expect(server.events).not.toContain('xrun');
  });
});

describe('several clients', () => {
  test('are summed, and saturate', async () => {
    const server = await startServer();
    const [loud, soft] = [new RawClient(server.hub), new RawClient(server.hub)];
    const constant = (value: number) => Buffer.from(new Int16Array(48_000).fill(value).buffer);
    const streams = [await loud.play(), await soft.play()];
    loud.write(streams[0]?.channel ?? 0, constant(30_000));
    loud.write(streams[0]?.channel ?? 0, constant(30_000));
    soft.write(streams[1]?.channel ?? 0, constant(1000));
    loud.request('trigger', (writer) => writer.u32(streams[0]?.channel ?? 0));
    soft.request('trigger', (writer) => writer.u32(streams[1]?.channel ?? 0));
    await server.guest.clock.advance(10 * TICK);
    soft.write(streams[1]?.channel ?? 0, constant(10_000));
    await server.guest.clock.advance(20 * TICK);
    const bytes = heard(server);
    const samples = new Set(new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2));
    expect(samples).toContain(31_000);
    expect(samples).toContain(32_767);
    expect([...samples].every((sample) => sample >= 0)).toBe(true);
  });

  test.each([8000, 44_100, 96_000])('of %i Hz is resampled, all of it', async (rate) => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const sine = Int16Array.from(
      { length: rate },
      (_, n) => 16_000 * Math.sin((2 * Math.PI * 500 * n) / rate),
    );
    const { channel } = await client.play({ rate, channels: 1 });
    await playAll(server, client, channel, new Uint8Array(sine.buffer));
    const bytes = heard(server);
    const left = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2).filter(
      (_, at) => at % 2 === 0,
    );
    const sounding = left.findLastIndex((sample) => sample !== 0) - left.findIndex((sample) => sample !== 0);
    expect(sounding).toBeGreaterThan(47_900);
    expect(sounding).toBeLessThan(48_100);
    const loudest = left.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    expect(loudest).toBeGreaterThan(15_900);
    expect(loudest).toBeLessThan(16_600);
  });

  test('one that has nothing does not keep another waiting', async () => {
    const server = await startServer();
    const [idle, playing] = [new RawClient(server.hub), new RawClient(server.hub)];
    const { channel: dry } = await idle.play({ targetLength: ms(100), prebuffer: 0 });
    idle.write(dry, noise('s16_le', 2, 480));
    const sound = noise('s16_le', 2, 48_000);
    const { channel } = await playing.play();
    await server.guest.clock.advance(10 * TICK);
    await playAll(server, playing, channel, sound);
    expect(occurrences(heard(server), sound)).toBe(1);
    expect(server.events).not.toContain('xrun');
  });
});

describe('volume', () => {
  test.each([0, 1, 2, 3])('is that of samples which came at byte %i of a piece', async (place) => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const { channel, index } = await client.play();
    await client.ask('setSinkInputVolume', (writer) => writer.u32(index).volumes([0x8000]));
    const packet = encodePacket(
      channel,
      new Uint8Array(Int16Array.from({ length: 9600 }, () => 8000).buffer),
    );
    client.session.receive(Buffer.concat([Buffer.alloc(place), packet]).subarray(place));
    client.request('trigger', (writer) => writer.u32(channel));
    await server.guest.clock.advance(48_000);
    const played = new Uint8Array(Int16Array.from({ length: 9600 }, () => 1000).buffer);
    expect(occurrences(heard(server), played)).toBe(1);
  });

  test('of a stream is a ramp, and others are left alone', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const { channel, index } = await client.play();
    client.write(channel, Buffer.from(new Int16Array(96_000).fill(10_000).buffer));
    client.request('trigger', (writer) => writer.u32(channel));
    await server.guest.clock.advance(4 * TICK);
    await client.ask('setSinkInputVolume', (writer) => writer.u32(index).volumes([0x8000]));
    await server.guest.clock.advance(16 * TICK);
    const bytes = heard(server);
    const left = [...new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)].filter(
      (_, at) => at % 2 === 0,
    );
    expect(left.at(-1)).toBe(1250);
    const ramp = left.filter((sample) => sample > 1250 && sample < 10_000);
    expect(ramp.length).toBeGreaterThan(400);
    expect(ramp).toEqual(ramp.toSorted((a, b) => b - a));
  });

  test('of a sink is done here where the backend has none, and subscribers hear of it', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const { channel } = await client.play();
    client.write(channel, Buffer.from(new Int16Array(96_000).fill(10_000).buffer));
    client.request('trigger', (writer) => writer.u32(channel));
    const watcher = new RawClient(server.hub);
    await watcher.ask('subscribe', (writer) => writer.u32(1));
    await client.ask('setSinkMute', (writer) => writer.u32(0).string(undefined).boolean(true));
    await server.guest.clock.advance(20 * TICK);
    expect(
      heard(server)
        .subarray(-400)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(watcher.count(66)).toBeGreaterThan(0);
    expect(server.sink.describe()).toMatchObject({ isMuted: true });
  });
});

describe('a backend that goes', () => {
  test('lets clients wait, and they go on', async () => {
    const server = await startServer();
    const client = new RawClient(server.hub);
    const sound = noise('s16_le', 2, 48_000);
    const { channel } = await client.play({ targetLength: ms(200), leastRequest: ms(20) });
    const at = client.feed(channel, sound, 0);
    await server.guest.clock.advance(4 * TICK);
    const rest = client.feed(channel, sound, at);
    await server.guest.backend.close();
    await server.guest.clock.advance(48_000);
    const asked = client.asked.get(channel);
    await server.guest.clock.advance(48_000);
    expect(client.asked.get(channel)).toBe(asked);
    expect(server.events).toContain('backendLost');
    expect(rest).toBeLessThan(sound.length);
  });
});

describe('roles', () => {
  const devices = [0, 1].map((id) => ({
    streams: [{ fields: { type: 'p', 'unique-id': `playback${id}` } }],
  }));

  test('choose the PCM device of a stream whose program has not', async () => {
    const { hub } = await startServer({ roles: { navigation: 1 } }, { pcmDevices: devices });
    const client = new RawClient(hub);
    const deviceOf = async (wishes: object) => {
      const { index } = await client.play(wishes);
      return hub.inputs.get(index)?.target.plan.device;
    };
    expect(await deviceOf({ role: 'navigation' })).toBe(1);
    expect(await deviceOf({ role: 'music' })).toBe(0);
    expect(await deviceOf({})).toBe(0);
    const [first] = hub.sinks;
    expect(await deviceOf({ role: 'navigation', sink: first?.plan.name ?? '' })).toBe(0);
  });

  test('of devices that there are not are refused', async () => {
    const started = startServer({ roles: { navigation: 7 } }, { pcmDevices: devices });
    await expect(started).rejects.toThrow('the PCM device of role navigation is 7; allowed: 0, 1');
  });
});
