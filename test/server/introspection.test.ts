import { describe, expect, test } from 'vitest';
import { startServer } from './manual-server.ts';
import { RawClient } from './raw-client.ts';

const NO_INDEX = 0xffff_ffff;

describe('what clients can know', () => {
  test('is who is there, and what they play', async () => {
    const { hub } = await startServer({}, { capture: true });
    const [player, watcher] = [new RawClient(hub, 'player'), new RawClient(hub, 'watcher')];
    const { index } = await player.play();
    const sinks = await watcher.ask('sinkList');
    expect([sinks.u32(), sinks.string()]).toEqual([0, 'vsnd-card-0']);
    const sources = await watcher.ask('sourceInfo', (writer) => writer.u32(NO_INDEX).string(undefined));
    expect([sources.u32(), sources.string()]).toEqual([0, 'vsnd-card-0.source']);
    const inputs = await watcher.ask('sinkInputInfo', (writer) => writer.u32(index));
    expect([inputs.u32(), inputs.string(), inputs.u32(), inputs.u32()]).toEqual([
      index,
      'noise',
      NO_INDEX,
      player.session.client,
    ]);
    const clients = await watcher.ask('clientInfo', (writer) => writer.u32(player.session.client));
    expect([clients.u32(), clients.string()]).toEqual([player.session.client, 'player']);
    for (const list of ['moduleList', 'sampleList', 'cardList'] as const) {
      expect((await watcher.ask(list)).isAtEnd).toBe(true);
    }
  });

  test.each([
    ['sinkInfo', 7],
    ['sinkInputInfo', 7],
    ['sourceOutputInfo', 7],
    ['clientInfo', 7777],
  ] as const)('%s of what is not there is an error', async (name, index) => {
    const { hub } = await startServer();
    const client = new RawClient(hub);
    const asked = client.ask(name, (writer) =>
      name === 'sinkInfo' ? writer.u32(index).string(undefined) : writer.u32(index),
    );
    await expect(asked).rejects.toThrow('error 5');
  });

  test('commands that are not known are answered with an error, and nothing ends', async () => {
    const { hub } = await startServer();
    const client = new RawClient(hub);
    await expect(client.ask(51, (writer) => writer.string('module-null-sink').string(''))).rejects.toThrow(
      'error 23',
    );
    await expect(client.ask(4711)).rejects.toThrow('error 23');
    expect(client.isClosed).toBe(false);
  });
});

describe('who has subscribed', () => {
  test('hears of streams and clients that come and go, and of nothing else', async () => {
    const { hub } = await startServer();
    const watcher = new RawClient(hub);
    await watcher.ask('subscribe', (writer) => writer.u32(4 | 32));
    const player = new RawClient(hub);
    const { index } = await player.play();
    await player.ask('setSinkVolume', (writer) => writer.u32(0).string(undefined).volumes([0x8000]));
    player.session.close();
    const events = watcher.told
      .filter(({ command }) => command === 66)
      .map(({ fields }) => [fields.u32(), fields.u32()]);
    expect(events).toEqual([
      [5, player.session.client],
      [2, index],
      [2 | 0x20, index],
      [5 | 0x20, player.session.client],
    ]);
  });

  test('and does not read is told once of each, when it does', async () => {
    const { hub } = await startServer();
    const watcher = new RawClient(hub);
    await watcher.ask('subscribe', (writer) => writer.u32(1));
    watcher.backlog = 100_000;
    const other = new RawClient(hub);
    for (let n = 0; n < 1000; n++) {
      other.request('setSinkVolume', (writer) => writer.u32(0).string(undefined).volumes([n]));
    }
    expect(watcher.count(66)).toBe(0);
    watcher.backlog = 0;
    watcher.session.handleDrained();
    expect(watcher.count(66)).toBe(1);
  });
});

describe('streams and clients', () => {
  test('can be killed by another, and their owner is told', async () => {
    const { hub } = await startServer({}, { capture: true });
    const [owner, killer] = [new RawClient(hub), new RawClient(hub)];
    const { index } = await owner.play();
    const recording = await owner.record();
    await killer.ask('killSinkInput', (writer) => writer.u32(index));
    await killer.ask('killSourceOutput', (writer) => writer.u32(recording.index));
    expect([owner.count(64), owner.count(65)]).toEqual([1, 1]);
    expect(owner.session.streamCount).toBe(0);
    await killer.ask('killClient', (writer) => writer.u32(owner.session.client));
    expect(owner.isClosed).toBe(true);
  });

  test('have a volume only where it fits their channels', async () => {
    const { hub } = await startServer();
    const client = new RawClient(hub);
    const { index } = await client.play();
    const set = (volumes: number[]) =>
      client.ask('setSinkInputVolume', (writer) => writer.u32(index).volumes(volumes));
    await set([0x8000, 0x4000]);
    expect(hub.inputs.get(index)?.stream.gain.volumes).toEqual([0x8000, 0x4000]);
    await expect(set([1, 2, 3])).rejects.toThrow('error 3');
    await expect(set([])).rejects.toThrow('error 3');
    await expect(set([0xffff_ffff])).rejects.toThrow('error 3');
  });
});

describe('versions', () => {
  test.each([
    [35, 35],
    [36, 35],
    [0xc000_0023, 35],
    [22, 22],
  ])('a client of version %i is answered %i, without shared memory', async (said, answered) => {
    const { hub } = await startServer();
    const client = new RawClient(hub);
    const fields = await client.ask('auth', (writer) => writer.u32(said).value(Buffer.alloc(256)));
    expect(fields.u32()).toBe(answered);
  });

  test('older ones are refused, and so is whoever has not said its own', async () => {
    const { hub } = await startServer();
    const client = new RawClient(hub);
    await expect(client.ask('auth', (writer) => writer.u32(21).value(Buffer.alloc(0)))).rejects.toThrow(
      'error 17',
    );
    client.session.version = 0;
    await expect(client.ask('sinkList')).rejects.toThrow('error 1');
  });
});

describe('a record stream', () => {
  test('gets what the card captures, in fragments, and the card is closed without one', async () => {
    const server = await startServer({}, { capture: true });
    const { guest } = server;
    const said = Buffer.from(Int16Array.from({ length: 48_000 }, (_, n) => n % 30_000).buffer);
    guest.device.say(said);
    const client = new RawClient(server.hub);
    const { channel, index } = await client.record(4800);
    await guest.clock.advance(24_000);
    const heard = client.recorded.get(channel) ?? Buffer.alloc(0);
    expect(heard.length % 4800).toBe(0);
    expect(heard.length).toBeGreaterThan(80_000);
    expect(said.subarray(0, heard.length).equals(heard)).toBe(true);
    await client.ask('corkRecord', (writer) => writer.u32(channel).boolean(true));
    await guest.clock.advance(4800);
    expect(server.source?.isOpen).toBe(false);
    expect(server.hub.outputs.get(index)?.stream.isCorked).toBe(true);
  });

  test('whose client does not read loses sound, and nothing else', async () => {
    const server = await startServer({}, { capture: true });
    const client = new RawClient(server.hub);
    const { index } = await client.record(4800);
    client.backlog = 3 << 20;
    await server.guest.clock.advance(24_000);
    expect(client.isClosed).toBe(false);
    expect(server.hub.outputs.get(index)?.stream.lost).toBeGreaterThan(50_000);
  });
});

test('a client whose user may not use the server is told so, whatever it asks for', async () => {
  const { hub } = await startServer();
  const client = new RawClient(hub, 'a stranger', false);
  await expect(client.reply(1)).rejects.toThrow('error 1');
  await expect(client.ask('serverInfo')).rejects.toThrow('error 1');
  await expect(client.play()).rejects.toThrow('error 1');
});

test('what a server has not has an empty name: SDL dies of none', async () => {
  const { hub } = await startServer({ source: false });
  const fields = await new RawClient(hub).ask('serverInfo');
  for (let count = 0; count < 4; count++) fields.string();
  fields.spec();
  expect(fields.string()).toBe(hub.sinks[0]?.plan.name);
  expect(fields.string()).toBe('');
});
