import { VsndError } from '../errors.ts';
import { attempt, interleave, ready } from './decoders.ts';
import { inWavOrder, type OggMapping, type PacketDecoder, startsWith } from './ogg-codec.ts';

/** OpusHead (RFC 7845, 5.1). */
interface OpusHead {
  channels: number;
  preSkip: number;
  /** What all samples are multiplied with. */
  amplitude: number;
  streamCount: number;
  coupledStreamCount: number;
  channelMappingTable: number[];
}

/** Hz: whatever was encoded. */
const RATE = 48_000;
/** 80 ms (RFC 7845, 4.6). */
const PRE_ROLL = 3840;

export const OPUS: OggMapping = {
  recognises: (packet) => startsWith(packet, 'OpusHead'),
  isComplete: ({ length }) => length === 2,
  codec(name, [packet = new Uint8Array(0)]) {
    const head = parseHead(name, packet);
    return {
      kind: 'Ogg Opus',
      format: 'float_le',
      rate: RATE,
      channels: head.channels,
      preSkip: head.preSkip,
      preRoll: PRE_ROLL,
      overlaps: false,
      createDecoder: () => createDecoder(head),
    };
  },
};

function parseHead(name: string, packet: Uint8Array): OpusHead {
  const damagedError = () =>
    new VsndError('ERR_VSND_FILE', `${name} is a damaged Ogg Opus file: its OpusHead makes no sense`);
  if (packet.length < 19) throw damagedError();
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const channels = view.getUint8(9);
  const family = view.getUint8(18);
  if (family > 1) {
    throw new VsndError(
      'ERR_VSND_FILE',
      `${name} has its channels mapped by family ${family}; allowed: 0, 1`,
    );
  }
  if (channels < 1 || channels > (family === 0 ? 2 : 8) || (family === 1 && packet.length < 21 + channels))
    throw damagedError();
  const streamCount = family === 0 ? 1 : view.getUint8(19);
  const coupledStreamCount = family === 0 ? channels - 1 : view.getUint8(20);
  const channelMappingTable =
    family === 0 ? [0, 1].slice(0, channels) : [...packet.subarray(21, 21 + channels)];
  const isMapped = (index: number) => index === 255 || index < streamCount + coupledStreamCount;
  if (streamCount < 1 || coupledStreamCount > streamCount || !channelMappingTable.every(isMapped))
    throw damagedError();
  return {
    channels,
    preSkip: view.getUint16(10, true),
    amplitude: 10 ** (view.getInt16(16, true) / 256 / 20), // dB, in 256ths
    streamCount,
    coupledStreamCount,
    channelMappingTable,
  };
}

async function createDecoder({ amplitude, preSkip: _, ...options }: OpusHead): Promise<PacketDecoder> {
  const { OpusDecoder } = await import('opus-decoder');
  const decoder = await ready(new OpusDecoder({ ...options, preSkip: 0 }));
  return {
    async decode(packet) {
      const decoded = attempt(() => decoder.decodeFrame(packet));
      if (decoded === undefined || decoded.errors.length > 0) return undefined;
      return interleave(inWavOrder(decoded.channelData), decoded.samplesDecoded, amplitude);
    },
    free: () => void attempt(() => decoder.free()),
  };
}
