import { expect, test } from 'vitest';
import { encodePacket } from '../../src/pulse/packet.ts';
import type { RequestName } from '../../src/pulse/requests.ts';
import { propertiesOf, type TagWriter } from '../../src/pulse/tagged.ts';
import { noise, occurrences } from '../bridge/real/sound.ts';
import { openServer, startServer } from '../server/manual-server.ts';
import { RawClient } from '../server/raw-client.ts';
import { FUZZ_TIMEOUT, type Random, runRounds } from './rounds.ts';

/** Frames between two looks at what has come. */
const TURN = 240;

const NAMES: readonly RequestName[] = [
  'createPlaybackStream',
  'createRecordStream',
  'deletePlaybackStream',
  'drain',
  'corkPlayback',
  'flushPlayback',
  'trigger',
  'prebuffer',
  'setPlaybackAttributes',
  'setRecordAttributes',
  'corkRecord',
  'playbackLatency',
  'recordLatency',
  'sinkInfo',
  'sinkInputInfo',
  'subscribe',
  'setSinkInputVolume',
  'updatePlaybackProperties',
  'removeClientProperties',
  'setClientName',
  'statistics',
];

type Write = (writer: TagWriter, random: Random) => unknown;

/** Fields, of any kind. */
const FIELDS: readonly Write[] = [
  (writer, random) => writer.u32(random.u32()),
  (writer, random) => writer.u32(random.below(4)),
  (writer, random) => writer.boolean(random.chance(50)),
  (writer, random) => writer.string(random.chance(30) ? undefined : random.text()),
  (writer, random) => writer.u8(random.below(256)),
  (writer, random) => writer.volumes(Array.from({ length: random.below(33) }, () => random.u32())),
  (writer, random) => writer.map(Array.from({ length: random.below(33) }, () => random.below(256))),
  (writer, random) =>
    writer.spec({ format: random.below(16), channels: random.below(40), rate: random.u32() }),
  (writer, random) => writer.properties(propertiesOf({ 'media.name': random.text() })),
  (writer, random) => writer.timeval({ seconds: random.u32(), microseconds: random.u32() }),
  (writer, random) => writer.value(random.bytes(random.below(300))),
];

/** A command with a known number, or any, and with fields at random. */
function sendCommand(client: RawClient, random: Random): void {
  const number = random.chance(90) ? random.pick(NAMES) : random.u32();
  client.request(number, (writer) => {
    for (let count = random.below(8); count > 0; count--) random.pick(FIELDS)(writer, random);
  });
}

/** A right command, with numbers at random: it gets further. */
function sendSensible(client: RawClient, random: Random): void {
  const channel = random.below(4);
  random.pick([
    () => client.request('corkPlayback', (writer) => writer.u32(channel).boolean(random.chance(50))),
    () => client.request('flushPlayback', (writer) => writer.u32(channel)),
    () => client.request('trigger', (writer) => writer.u32(channel)),
    () => client.request('drain', (writer) => writer.u32(channel)),
    () => client.request('deletePlaybackStream', (writer) => writer.u32(channel)),
    () =>
      client.request('playbackLatency', (writer) =>
        writer.u32(channel).timeval({ seconds: 0, microseconds: 0 }),
      ),
    () => client.request('subscribe', (writer) => writer.u32(0x2ff)),
    () => void client.record(random.u32()).catch(() => {}), // refused
    () => client.request('corkRecord', (writer) => writer.u32(channel).boolean(random.chance(50))),
    () => client.request('deleteRecordStream', (writer) => writer.u32(channel)),
    () => client.request('flushRecord', (writer) => writer.u32(channel)),
    () =>
      client.request('setSourceVolume', (writer) =>
        writer.u32(0).string(undefined).volumes([random.u32(), random.u32()]),
      ),
    () => {
      const [input] = client.session.inputs.values();
      const volumes = Array.from({ length: input?.spec.channels ?? 1 }, () => random.below(0x1_0000));
      client.request('setSinkInputVolume', (writer) => writer.u32(input?.index ?? 0).volumes(volumes));
    },
    () => {
      const [input] = client.session.inputs.values();
      client.request('setSinkInputMute', (writer) =>
        writer.u32(input?.index ?? 0).boolean(random.chance(50)),
      );
    },
    () => {
      const [input] = client.session.inputs.values();
      client.request('killSinkInput', (writer) => writer.u32(input?.index ?? 0));
    },
    () =>
      client.request('setPlaybackAttributes', (writer) =>
        writer
          .u32(channel)
          .u32(random.u32())
          .u32(random.u32())
          .u32(random.u32())
          .u32(random.u32())
          .boolean(random.chance(50))
          .boolean(random.chance(50)),
      ),
  ])();
}

function sendData(client: RawClient, random: Random): void {
  const packet = encodePacket(random.below(4), random.bytes(4 * (1 + random.below(2000))));
  packet.writeBigInt64BE(random.chance(50) ? 0n : BigInt.asIntN(64, random.u64()), 8);
  packet.writeUInt32BE(random.chance(95) ? random.below(5) : random.u32(), 16);
  if (random.chance(5)) packet.writeUInt32BE(random.u32(), 0);
  client.session.receive(packet);
}

/** A stream that can be made, of numbers at random. It may have said before that all of this is data. */
function makeStream(client: RawClient, random: Random): void {
  const attribute = () => (random.chance(40) ? 0xffff_ffff : random.u32());
  const made = client.play({
    targetLength: attribute(),
    prebuffer: random.chance(40) ? 0 : attribute(),
    leastRequest: attribute(),
    isCorked: random.chance(30),
    format: random.below(14),
    channels: 1 + random.below(2),
    rate: random.pick([48_000, 44_100, 8000, 1, 192_000, random.u32()]),
  });
  made.catch(() => {}); // refused
}

function disturb(client: RawClient, random: Random): void {
  if (client.isClosed) return;
  const what = random.below(100);
  if (what < 20) sendCommand(client, random);
  else if (what < 50) sendSensible(client, random);
  else if (what < 90) sendData(client, random);
  else if (what < 96) makeStream(client, random);
  else if (what < 98) client.backlog = random.chance(50) ? 0 : random.below(5 << 20);
  else client.session.receive(Buffer.from(random.bytes(random.below(200))));
}

async function round(random: Random): Promise<void> {
  const server = await openServer({}, { pcmDevices: deviceFor('honest', 'others') });
  const honest = new RawClient(server.hub, 'honest');
  const sound = noise('s16_le', 2, 9600);
  const { channel } = await honest.play();
  let hostile = [new RawClient(server.hub), new RawClient(server.hub)];
  let at = honest.feed(channel, sound, 0);
  let drained: number | undefined;
  for (let turn = 0; turn < 200; turn++) {
    for (const client of hostile) disturb(client, random);
    hostile = hostile.map((client) => (client.isClosed ? new RawClient(server.hub) : client));
    await server.guest.clock.advance(TURN);
    at = honest.feed(channel, sound, at);
    if (at === sound.length) drained ??= honest.request('drain', (writer) => writer.u32(channel));
    if (drained !== undefined && honest.isAnswered(drained)) break;
  }
  expect(drained !== undefined && honest.isAnswered(drained), 'the honest client has drained').toBe(true);
  expect(honest.isClosed).toBe(false);
  await server.close();
}

/** A PCM device for each; one that captures, too. */
function deviceFor(...names: string[]) {
  return names.map((name) => ({
    fields: { name },
    streams: [
      { fields: { type: 'p', 'unique-id': name } },
      { fields: { type: 'c', 'unique-id': `${name}-source` } },
    ],
  }));
}

test(
  'clients that say anything: nobody else waits, and nothing is thrown',
  async () => {
    expect(await runRounds('pulse', round)).toBeGreaterThan(0);
  },
  FUZZ_TIMEOUT,
);

test('beside one that floods its stream, another is heard bit for bit', async () => {
  const server = await startServer({ roles: { other: 1 } }, { pcmDevices: deviceFor('honest', 'others') });
  const [honest, flooding] = [new RawClient(server.hub), new RawClient(server.hub)];
  const sound = noise('s16_le', 2, 24_000);
  const { channel } = await honest.play();
  const other = await flooding.play({ role: 'other' });
  let at = honest.feed(channel, sound, 0);
  for (let turn = 0; turn < 200; turn++) {
    flooding.write(other.channel, new Uint8Array(1 << 20));
    await server.guest.clock.advance(TURN);
    at = honest.feed(channel, sound, at);
  }
  honest.request('trigger', (writer) => writer.u32(channel));
  await server.guest.clock.advance(48_000);
  expect(occurrences(Buffer.from(server.guest.device.heard()), sound)).toBeLessThanOrEqual(1);
  expect(server.hub.inputs.get(other.index)?.stream.storedBytes).toBeLessThanOrEqual((4 << 20) + (64 << 10));
  expect(server.events).not.toContain('xrun');
});
