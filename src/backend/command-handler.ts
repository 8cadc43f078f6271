import type { Clock } from '../clock.ts';
import type { StreamConfig } from '../config/card.ts';
import { formatNames, overlapOf, rangesOf } from '../pcm/hw-params.ts';
import { pcmFormatByCode } from '../wire/pcm-format.ts';
import type {
  HwParamRanges,
  OpenRequest,
  ReceivedRequest,
  SndifOpName,
  SndifResponse,
} from '../wire/sndif.ts';
import type { GrantMapper } from '../xen/hypervisor.ts';
import { OpenCapture } from './open-capture.ts';
import { OpenPlayback } from './open-playback.ts';
import type { OpenStream } from './open-stream.ts';
import type { DeviceParams, PcmDevice } from './pcm-device.ts';
import type { QueueMode } from './playback-queue.ts';
import { Refusal, statusOf } from './refusal.ts';
import { mapSharedBuffer } from './shared-buffer.ts';
import type { OpenStreamStatus, StreamTotals } from './status.ts';
import { StreamVolume } from './stream-volume.ts';

/** Octets: the most that a guest can make this backend map and hold for a stream, whatever its own buffer-size node says. */
const MAX_BUFFER_BYTES = 16 << 20;

/** What a stream's handler works with. */
export interface CommandHandlerOptions {
  readonly config: StreamConfig;
  readonly device: PcmDevice;
  readonly mapper: GrantMapper;
  readonly clock: Clock;
  readonly frontendDomid: number;
  readonly queueMode: QueueMode;
  /** Sends XENSND_EVT_CUR_POS: octets since OPEN, or since the last STOP. */
  sendPosition(octets: number): void;
  /** Takes note of something that went wrong here. */
  warn(message: string): void;
}

/**
 * Carries out the ten requests of one stream, one after the other. Trusts nothing that the frontend says: what is wrong
 * is answered with an errno, and changes nothing.
 */
export class CommandHandler {
  readonly #options: CommandHandlerOptions;
  #stream: OpenStream | undefined;
  /** Of the streams that have been closed. */
  #before = { frames: 0, xruns: 0 };

  constructor(options: CommandHandlerOptions) {
    this.#options = options;
  }

  /** The answer to one request: at once, or where something has to be waited for, later. Neither throws nor rejects. */
  handle(received: ReceivedRequest): SndifResponse | Promise<SndifResponse> {
    const { id, operation, request } = received;
    const answer = (ranges?: HwParamRanges) => ({ id, operation, status: 0, ...(ranges && { ranges }) });
    try {
      const result = this.#carryOut(request);
      if (!(result instanceof Promise)) return answer(result);
      return result.then(
        () => answer(),
        (error) => this.#refuse(received, error),
      );
    } catch (error) {
      return this.#refuse(received, error);
    }
  }

  /** The stream from OPEN to CLOSE. */
  get status(): OpenStreamStatus | undefined {
    return this.#stream?.status;
  }

  /** Over all OPENs. */
  get totals(): Pick<StreamTotals, 'frames' | 'xruns'> {
    const { frames, xruns } = this.#before;
    const now = this.#stream?.totals;
    return { frames: frames + (now?.frames ?? 0), xruns: xruns + (now?.xruns ?? 0) };
  }

  /** The frontend is gone: stops at once and lets go of everything. Idempotent. */
  async close(): Promise<void> {
    await this.#closeStream({ drain: false }).catch((error: Error) => this.#options.warn(error.message));
  }

  #refuse({ id, operation, request }: ReceivedRequest, error: unknown): SndifResponse {
    const name = request ? nameOf(request.op) : `operation ${operation}`;
    this.#options.warn(`${name} refused: ${(error as Error).message}`);
    return { id, operation, status: statusOf(error) };
  }

  #carryOut(request: ReceivedRequest['request']): HwParamRanges | Promise<void> | undefined {
    if (!request) throw new Refusal('EINVAL', 'sndif.h has no such operation');
    switch (request.op) {
      case 'open':
        return this.#open(request);
      case 'close':
        return this.#closeStream({ drain: true });
      case 'trigger':
        this.#requireOpen().trigger(request.trigger);
        return undefined;
      case 'hwParamQuery':
        return this.#query(request.ranges);
      case 'write':
      case 'read':
        this.#requireDirection(request.op);
        return this.#requireOpen().transfer(request.offset, request.length);
      default:
        this.#requireOpen().volume.carryOut(request.op, request.offset, request.length);
        return undefined;
    }
  }

  async #open(request: OpenRequest): Promise<void> {
    if (this.#stream) throw new Refusal('EBUSY', 'the stream is open already');
    const { config, device, mapper, frontendDomid } = this.#options;
    const { bufferBytes } = request;
    const params = this.#checkOpen(request);
    const pages = await mapSharedBuffer(mapper, frontendDomid, request.directoryGref, bufferBytes);
    const volume = new StreamVolume(params, pages, bufferBytes);
    const options = { ...this.#options, params, pages, bufferBytes, volume };
    try {
      this.#stream = await (config.type === 'playback' ? OpenPlayback : OpenCapture).open(device, options);
    } catch (error) {
      await pages.release();
      throw error;
    }
  }

  /** It stays the stream until the end: a device that drains still takes from it. */
  async #closeStream(options: { drain: boolean }): Promise<void> {
    const stream = this.#stream;
    try {
      await stream?.close(options);
    } finally {
      if (this.#stream === stream) {
        this.#before = this.totals;
        this.#stream = undefined;
      }
    }
  }

  /** What OPEN asks for, within what XenStore and the device allow. */
  #checkOpen(request: OpenRequest): DeviceParams {
    const limits = this.#limits;
    const { rate, channels, bufferBytes, periodBytes } = request;
    const require = (isAllowed: boolean, what: string, value: number | string, allowed: string) => {
      if (!isAllowed) throw new Refusal('EINVAL', `${what} is ${value}; allowed: ${allowed}`);
    };
    require(limits.rates.includes(rate), 'pcm_rate', rate, limits.rates.join(', ') || 'none');
    const { min, max } = limits.channels;
    require(channels >= min && channels <= max, 'pcm_channels', channels, `${min} to ${max}`);
    const format = limits.formats.find((name) => name === pcmFormatByCode(request.format)?.name);
    const sampleBytes = pcmFormatByCode(request.format)?.sampleBytes;
    if (format === undefined || sampleBytes === undefined) {
      const allowed = limits.formats.join(', ') || 'none';
      throw new Refusal('EINVAL', `pcm_format is ${request.format}; allowed: ${allowed}`);
    }
    const frameBytes = sampleBytes * channels;
    const isBuffer = bufferBytes >= frameBytes && bufferBytes <= limits.bufferBytes;
    require(isBuffer, 'buffer_sz', bufferBytes, `${frameBytes} to ${limits.bufferBytes}`);
    const isPeriod = periodBytes === 0 || (periodBytes >= frameBytes && periodBytes <= bufferBytes);
    require(isPeriod, 'period_sz', periodBytes, `0 (no events), or ${frameBytes} to ${bufferBytes}`);
    return { rate, channels, format, frameBytes, periodBytes };
  }

  /** Where nothing is left of a parameter the answer says so: an error would not name it. */
  #query(asked: HwParamRanges): HwParamRanges {
    const limits = this.#limits;
    const offer = overlapOf(asked, rangesOf(limits));
    if (offer.formats === 0n || offer.channels.min > offer.channels.max) return offer;
    // The formats and channels that are left bound the frames that fit into the buffer.
    const left = { ...limits, channels: offer.channels, formats: formatNames(offer.formats) };
    return overlapOf(offer, rangesOf(left));
  }

  /** What XenStore allows and the device can do. */
  get #limits(): StreamConfig {
    const { config, device } = this.#options;
    return {
      ...config,
      formats: config.formats.filter((name) => device.formats.includes(name)),
      rates: config.rates.filter((rate) => device.rates?.includes(rate) ?? true),
      channels: {
        min: Math.max(config.channels.min, device.channels?.min ?? 0),
        max: Math.min(config.channels.max, device.channels?.max ?? Number.POSITIVE_INFINITY),
      },
      bufferBytes: Math.min(config.bufferBytes, MAX_BUFFER_BYTES),
    };
  }

  #requireDirection(op: 'read' | 'write'): void {
    const { type } = this.#options.config;
    if (type === 'playback' && op === 'read') throw new Refusal('EINVAL', 'a playback stream cannot be read');
    if (type === 'capture' && op === 'write')
      throw new Refusal('EINVAL', 'a capture stream cannot be written');
  }

  #requireOpen(): OpenStream {
    if (!this.#stream) throw new Refusal('EBADFD', 'the stream is not open');
    return this.#stream;
  }
}

/** As sndif.h spells it: SET_VOLUME. */
function nameOf(op: SndifOpName): string {
  return op.replace(/[A-Z]/g, '_$&').toUpperCase();
}
