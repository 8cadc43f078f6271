import type { OggVorbisDecoder } from '@wasm-audio-decoders/ogg-vorbis';
import { VsndError } from '../errors.ts';
import { attempt, interleave, ready } from './decoders.ts';
import { inWavOrder, type OggMapping, type PacketDecoder, startsWith } from './ogg-codec.ts';

/** Frames in the longest block that there is: after two of them nothing is left of what was before. */
const LONGEST_BLOCK = 8192;

export const VORBIS: OggMapping = {
  recognises: (packet) => startsWith(packet, '\x01vorbis'),
  isComplete: ({ length }) => length === 3,
  codec(name, [identification = new Uint8Array(0), , setup = new Uint8Array(0)]) {
    const { buffer, byteOffset, byteLength } = identification;
    const view = new DataView(buffer, byteOffset, byteLength);
    const [channels, rate] = byteLength < 30 ? [0, 0] : [view.getUint8(11), view.getUint32(12, true)];
    if (channels === 0 || rate === 0 || !startsWith(setup, '\x05vorbis')) {
      throw new VsndError('ERR_VSND_FILE', `${name} is a damaged Ogg Vorbis file: its headers make no sense`);
    }
    return {
      kind: 'Ogg Vorbis',
      format: 'float_le',
      rate,
      channels,
      preSkip: 0,
      preRoll: 2 * LONGEST_BLOCK,
      overlaps: true,
      createDecoder: () => createDecoder(channels, identification, setup),
    };
  },
};

type Pages = Parameters<OggVorbisDecoder['decodeOggPages']>[0];

async function createDecoder(
  channels: number,
  identification: Uint8Array,
  setup: Uint8Array,
): Promise<PacketDecoder> {
  const { OggVorbisDecoder } = await import('@wasm-audio-decoders/ogg-vorbis');
  const decoder = await ready(new OggVorbisDecoder());
  return {
    async decode(packet) {
      // All that the decoder looks at: of the first page also the headers.
      const page = { data: identification, codecFrames: [{ data: packet, header: { vorbisSetup: setup } }] };
      const decoding = attempt(() => decoder.decodeOggPages([page] as unknown as Pages));
      const decoded = await decoding?.catch(() => undefined);
      if (decoded?.channelData.length !== channels || decoded.errors.length > 0) return undefined;
      return interleave(inWavOrder(decoded.channelData), decoded.samplesDecoded);
    },
    free: () => void attempt(() => decoder.free()),
  };
}
