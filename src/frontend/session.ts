import type { StreamConfig } from '../config/card.ts';
import { isVsndError, VsndError } from '../errors.ts';
import {
  type BufferWishes,
  bufferLayout,
  chooseSizes,
  type HwParams,
  intersectRanges,
  LEAST_PERIODS,
  type PcmSpec,
  queryRanges,
} from '../pcm/hw-params.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import type { HwParamRanges, SndifTriggerName } from '../wire/sndif.ts';
import { decodeVolumes, encodeMutes, encodeVolumes } from '../wire/volume.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import type { RequestOptions, StreamChannel } from './channel.ts';
import { SharedBuffer } from './shared-buffer.ts';

/** Where a stream is opened: its place on one connection of the card. */
export interface StreamAttachment {
  readonly hypervisor: Hypervisor;
  readonly backendDomid: number;
  readonly config: StreamConfig;
  readonly channel: StreamChannel;
}

type Sizes = Pick<HwParams, 'bufferFrames' | 'periodFrames'>;

type VolumeRequest = 'getVolume' | 'setVolume' | 'mute' | 'unmute';

/** Bytes of one channel's volume on the wire: sint32_t, steps of 0.001 dB. */
const VOLUME_BYTES = 4;

/** What {@link Session.open} has agreed on with the backend. */
export interface OpenSession {
  readonly params: HwParams;
  readonly buffer: SharedBuffer;
}

/** One OPEN of a stream at the backend, to its CLOSE or to the end of the connection. */
export class Session {
  readonly channel: StreamChannel;
  readonly #at: StreamAttachment;
  #opening: Promise<unknown> = Promise.resolve();
  #open: OpenSession | undefined;
  #closed: Promise<void> | undefined;
  #exchanges: Promise<unknown> = Promise.resolve();

  constructor(attachment: StreamAttachment) {
    this.#at = attachment;
    this.channel = attachment.channel;
  }

  /**
   * Settles buffer and period with the backend, grants the buffer, opens. Undefined where {@link close} was called
   * meanwhile. Rejects with ERR_VSND_NOT_SUPPORTED, naming the parameter, with ERR_VSND_STATUS or ERR_VSND_HYPERVISOR,
   * and as {@link StreamChannel.request} does.
   */
  async open(spec: PcmSpec, wishes: BufferWishes): Promise<OpenSession | undefined> {
    const opening = this.#carryOutOpen(spec, wishes);
    this.#opening = opening.catch(() => {});
    return await opening;
  }

  async trigger(trigger: SndifTriggerName): Promise<void> {
    await this.channel.request({ op: 'trigger', trigger });
  }

  /** dB, one a channel. Rejects with ERR_VSND_NOT_SUPPORTED where the backend has no volume. */
  async getVolumes(): Promise<number[]> {
    return decodeVolumes(await this.#exchange('getVolume', new Uint8Array(VOLUME_BYTES * this.#channels)));
  }

  /** dB, one a channel. Rejects as {@link getVolumes}. */
  async setVolumes(volumes: readonly number[]): Promise<void> {
    await this.#exchange('setVolume', encodeVolumes(volumes));
  }

  /** Mutes or unmutes the channels named; the others stay as they are. Rejects as {@link getVolumes}. */
  async setMuted(op: 'mute' | 'unmute', channels: readonly boolean[]): Promise<void> {
    await this.#exchange(op, encodeMutes(channels));
  }

  /** Asks what any living backend answers, and what changes nothing. Rejects where it does not answer. */
  async ping(): Promise<void> {
    await this.getVolumes().catch((error: unknown) => {
      if (!isVsndError(error, 'ERR_VSND_NOT_SUPPORTED') && !isVsndError(error, 'ERR_VSND_STATUS'))
        throw error;
    });
  }

  /**
   * CLOSE, and gives the buffer's pages back. Idempotent. Rejects where the backend refuses CLOSE, or does not answer;
   * the pages are given back in any case. `extraTime`: ns that it may take to play out what it has.
   */
  close(options: RequestOptions = {}): Promise<void> {
    this.#closed ??= this.#carryOutClose(options);
    return this.#closed;
  }

  async #carryOutOpen(spec: PcmSpec, wishes: BufferWishes): Promise<OpenSession | undefined> {
    const { hypervisor, backendDomid } = this.#at;
    const params = await this.#negotiate(spec, wishes);
    if (this.#closed) return undefined;
    const buffer = await SharedBuffer.grant(hypervisor, backendDomid, params);
    this.#open = { params, buffer };
    if (this.#closed) return undefined;
    await this.channel.request({
      op: 'open',
      rate: params.rate,
      format: pcmFormat(params.format).code,
      channels: params.channels,
      bufferBytes: buffer.totalBytes,
      directoryGref: buffer.directoryGref,
      periodBytes: params.periodFrames * params.frameBytes,
    });
    return this.#closed ? undefined : this.#open;
  }

  /** One parameter after the other, as ALSA refines them: what has been chosen narrows the next question. */
  async #negotiate(spec: PcmSpec, wishes: BufferWishes): Promise<HwParams> {
    const asked = queryRanges(spec, wishes, this.#at.config);
    const offer = await this.#refine(asked);
    if (offer === undefined) return { ...spec, ...chooseSizes(spec, wishes, asked) };
    const chosen = await this.#settle(spec, wishes, offer);
    const isFinal = chosen.isApt || wishes.periodFrames !== undefined;
    const { sizes } = isFinal ? chosen : await this.#settle(spec, wishes, offer, LEAST_PERIODS);
    return { ...spec, ...sizes };
  }

  /**
   * Buffer and period out of what is on offer, once the backend has said which periods go with that buffer. Apt are those that
   * make more than one period of all of it.
   */
  async #settle(spec: PcmSpec, wishes: BufferWishes, offer: HwParamRanges, periods?: number) {
    const totalOf = (sizes: Sizes) => bufferLayout({ ...spec, ...sizes }).totalBytes / spec.frameBytes;
    const total = totalOf(chooseSizes(spec, wishes, offer, periods));
    const rest = await this.#refine({ ...offer, bufferFrames: { min: total, max: total } });
    const sizes = chooseSizes(spec, wishes, rest ?? offer, periods);
    return { sizes, isApt: totalOf(sizes) === total && sizes.bufferFrames > sizes.periodFrames };
  }

  /** What of the ranges the backend can do; undefined where it does not know the question. */
  async #refine(asked: HwParamRanges): Promise<HwParamRanges | undefined> {
    if (this.#closed) return undefined;
    try {
      const { ranges } = await this.channel.request({ op: 'hwParamQuery', ranges: asked });
      return ranges && intersectRanges(asked, ranges);
    } catch (error) {
      if (isVsndError(error, 'ERR_VSND_STATUS')) return undefined;
      throw error;
    }
  }

  async #carryOutClose(options: RequestOptions): Promise<void> {
    try {
      await this.channel.request({ op: 'close' }, options);
    } finally {
      await this.#opening;
      await this.#open?.buffer.release();
    }
  }

  get #channels(): number {
    return this.#open?.params.channels ?? 0;
  }

  /**
   * Sends bytes through the control area, which works with the audio area full, or paused; resolves with what stands
   * there afterwards. One exchange at a time: there is one area.
   */
  #exchange(op: VolumeRequest, bytes: Uint8Array): Promise<Uint8Array> {
    const exchanged = this.#exchanges.then(async () => {
      if (this.#open === undefined || this.#closed) {
        throw new VsndError('ERR_VSND_INVALID_STATE', 'the stream is not open');
      }
      const { buffer } = this.#open;
      const span = { offset: buffer.controlOffset, length: bytes.length };
      buffer.write(span.offset, bytes);
      await this.channel.request({ op, ...span }).catch((error: unknown) => {
        throw isUnknownThere(error) ? noVolumeError(error) : error;
      });
      return buffer.read([span]);
    });
    this.#exchanges = exchanged.catch(() => {});
    return exchanged;
  }
}

/** What backends without volume answer: the reference backend EINVAL, ours and others EOPNOTSUPP. */
function isUnknownThere(error: unknown): error is VsndError {
  const unknown = ['EINVAL', 'EOPNOTSUPP', 'ENOSYS'];
  return isVsndError(error, 'ERR_VSND_STATUS') && unknown.includes(error.errno ?? '');
}

function noVolumeError(cause: VsndError): VsndError {
  const { status = 0, errno = '' } = cause;
  return new VsndError(
    'ERR_VSND_NOT_SUPPORTED',
    `the backend has no volume or mute for this stream (${cause.message}); ` +
      'softwareVolume: true (vsnd play, vsnd record: --software-volume) does without it',
    { status, errno, cause },
  );
}
