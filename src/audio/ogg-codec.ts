import type { FrameFormat } from './audio-source.ts';

/** One way of compressing sound that Ogg pages can carry. */
export interface OggMapping {
  /** By the first packet of a stream. */
  recognises(packet: Uint8Array): boolean;
  /** Whether these are all of the packets before the sound; never asked without one. */
  isComplete(headers: readonly Uint8Array[]): boolean;
  /** Throws ERR_VSND_FILE, naming the recording. */
  codec(name: string, headers: readonly Uint8Array[]): OggCodec;
}

/** What the headers of a stream say. */
export interface OggCodec extends FrameFormat {
  readonly kind: string;
  /** Frames at the start that are decoded and not played. */
  readonly preSkip: number;
  /** Frames to decode before one that is entered at, until all is as if decoded from the start. */
  readonly preRoll: number;
  /** The first packet gives nothing: sound is where two packets overlap. */
  readonly overlaps: boolean;
  createDecoder(): Promise<PacketDecoder>;
}

export interface PacketDecoder {
  /** The frames of the next packet; undefined where it is damaged. */
  decode(packet: Uint8Array): Promise<Uint8Array | undefined>;
  free(): void;
}

/**
 * A decoder of `codec` that is created for its first packet: of those that are chained, thousands may have none. A packet of no
 * bytes, of which a page has 255, is none: a decoder invents sound for it.
 */
export function decoderOf(codec: OggCodec): PacketDecoder {
  let decoder: PacketDecoder | undefined;
  return {
    async decode(packet) {
      if (packet.length === 0) return undefined;
      decoder ??= await codec.createDecoder();
      return await decoder.decode(packet);
    },
    free: () => decoder?.free(),
  };
}

/** The channels of Vorbis and Opus in the order of WAV and FLAC, which begins with left, right, centre, LFE; by their count. */
const ORDERS: Readonly<Record<number, readonly number[]>> = {
  3: [0, 2, 1],
  5: [0, 2, 1, 3, 4],
  6: [0, 2, 1, 5, 3, 4],
  7: [0, 2, 1, 6, 5, 3, 4],
  8: [0, 2, 1, 7, 5, 6, 3, 4],
};

export function inWavOrder(channels: readonly Float32Array[]): readonly Float32Array[] {
  const order = ORDERS[channels.length];
  return order ? order.map((index) => channels[index] as Float32Array) : channels;
}

export function startsWith(packet: Uint8Array, text: string): boolean {
  return packet.length >= text.length && [...text].every((letter, at) => packet[at] === letter.charCodeAt(0));
}
