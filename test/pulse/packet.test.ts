import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { COMMAND_CHANNEL, encodePacket, type PacketHandler, PacketParser } from '../../src/pulse/packet.ts';

/** What a parser has told, data put together. */
class Told implements PacketHandler {
  readonly packets: { channel: number; payload: Buffer }[] = [];

  handleCommand(fields: Uint8Array): void {
    this.packets.push({ channel: COMMAND_CHANNEL, payload: Buffer.from(fields) });
  }

  handleDataBegin(channel: number): void {
    this.packets.push({ channel, payload: Buffer.alloc(0) });
  }

  handleData(bytes: Uint8Array): void {
    const last = this.packets.at(-1);
    if (last) last.payload = Buffer.concat([last.payload, bytes]);
  }
}

const packet = fc.record({
  channel: fc.constantFrom(COMMAND_CHANNEL, 0, 1, 7),
  payload: fc.uint8Array({ minLength: 1, maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
});

function descriptor(length: number, channel: number, flags = 0): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(channel, 4);
  bytes.writeUInt32BE(flags >>> 0, 16);
  return bytes;
}

describe('packets', () => {
  test('come as they were sent, wherever what carries them is cut', () => {
    fc.assert(
      fc.property(fc.array(packet), fc.array(fc.nat(60)), (packets, cuts) => {
        const told = new Told();
        const parser = new PacketParser(told);
        let rest = Buffer.concat(packets.map(({ channel, payload }) => encodePacket(channel, payload)));
        for (const cut of cuts) {
          expect(parser.take(rest.subarray(0, cut))).toHaveLength(0);
          rest = rest.subarray(cut);
        }
        parser.take(rest);
        expect(told.packets).toEqual(packets);
      }),
    );
  });

  test('are taken one by one where that is asked for', () => {
    const told = new Told();
    const parser = new PacketParser(told);
    const sent = Buffer.concat([1, 2, 3].map((channel) => encodePacket(channel, Buffer.of(channel))));
    const rest = parser.take(sent, 2); // a descriptor and its data
    expect(told.packets).toHaveLength(1);
    expect(rest).toHaveLength(42);
    parser.take(rest);
    expect(told.packets).toHaveLength(3);
  });

  test('carry an offset and a seek mode', () => {
    const begun: unknown[] = [];
    const handler: PacketHandler = {
      handleCommand: () => {},
      handleDataBegin: (...args) => begun.push(args),
      handleData: () => {},
    };
    const bytes = descriptor(4, 2, 1);
    bytes.writeBigInt64BE(-48n, 8);
    new PacketParser(handler).take(bytes);
    expect(begun).toEqual([[2, 4, 1, -48]]);
  });

  test.each([
    ['a command without fields', descriptor(0, COMMAND_CHANNEL)],
    ['a command of 64 KiB and one byte', descriptor(65_537, COMMAND_CHANNEL)],
    ['data of none', descriptor(0, 0)],
    ['data of 4 GiB', descriptor(0xffff_ffff, 0)],
    ['shared memory', descriptor(4, 0, 0x8000_0000)],
  ])('%s is a protocol error', (_, bytes) => {
    expect(() => new PacketParser(new Told()).take(bytes)).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_PROTOCOL' }),
    );
  });
});
