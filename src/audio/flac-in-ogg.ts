import { flacFormat } from './flac.ts';
import { FlacDecoder } from './flac-decoder.ts';
import { checkFlacInfo, parseFlacHeader, parseStreamInfo } from './flac-format.ts';
import { type OggMapping, startsWith } from './ogg-codec.ts';

/** Bytes before 'fLaC' and a metadata block's header in the first packet (RFC 9639, 10.1). */
const PREFIX_BYTES = 9;
const STREAMINFO_OFFSET = PREFIX_BYTES + 8;

const isLastBlock = (byte: number | undefined): boolean => ((byte ?? 0x80) & 0x80) !== 0;

export const OGG_FLAC: OggMapping = {
  recognises: (packet) => startsWith(packet, '\x7fFLAC'),
  isComplete: (headers) =>
    isLastBlock(headers.length === 1 ? headers[0]?.[PREFIX_BYTES + 4] : headers.at(-1)?.[0]),
  codec(name, [packet = new Uint8Array(0)]) {
    const info = parseStreamInfo(name, packet.subarray(STREAMINFO_OFFSET));
    checkFlacInfo(name, info);
    return {
      kind: 'Ogg FLAC',
      format: flacFormat(info),
      rate: info.rate,
      channels: info.channels,
      preSkip: 0,
      preRoll: 0,
      overlaps: false,
      async createDecoder() {
        const decoder = new FlacDecoder(info);
        return {
          async decode(flacFrame) {
            const header = parseFlacHeader(flacFrame, info);
            return header && decoder.decode(flacFrame, header);
          },
          free: () => decoder.free(),
        };
      },
    };
  },
};
