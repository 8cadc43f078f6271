import type { Clock } from '../clock.ts';
import type { StreamConfig } from '../config/card.ts';
import { formatNames, overlapOf, rangesOf } from '../pcm/hw-params.ts';
import { ReleaseStack } from '../release-stack.ts';
import { pcmFormat, pcmFormatByCode } from '../wire/pcm-format.ts';
import type {
  HwParamRanges,
  OpenRequest,
  ReceivedRequest,
  SndifOpName,
  SndifResponse,
} from '../wire/sndif.ts';
import { type GrantMapper, PAGE_SIZE } from '../xen/hypervisor.ts';
import { type Guest, type HeldLimit, isRepeated } from './guest.ts';
import { OpenCapture } from './open-capture.ts';
import { OpenPlayback } from './open-playback.ts';
import type { OpenStream } from './open-stream.ts';
import type { DeviceParams, PcmDevice } from './pcm-device.ts';
import type { QueueMode } from './playback-queue.ts';
import { Refusal, statusOf } from './refusal.ts';
import { mapSharedBuffer } from './shared-buffer.ts';
import type { OpenStreamStatus, StreamTotals } from './status.ts';
import { StreamVolume } from './stream-volume.ts';

/** A timer's shortest time is a millisecond: a stream has no more positions a second, however short its period. */
const MOST_POSITIONS = 1000;

/** Items of a list that an answer to one request names: a guest may have written hundreds. */
const MOST_NAMED = 16;

/** What a stream's handler works with. */
export interface CommandHandlerOptions {
  /** Whose stream it is. */
  readonly guest: Guest;
  readonly config: StreamConfig;
  readonly device: PcmDevice;
  readonly mapper: GrantMapper;
  readonly clock: Clock;
  readonly frontendDomid: number;
  readonly queueMode: QueueMode;
  /** Sends XENSND_EVT_CUR_POS: bytes since OPEN, or since the last STOP. */
  sendPosition(bytes: number): void;
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
  /** What the guest's limits have let it have for the stream. */
  readonly #held = new ReleaseStack();
  /** Aborts when the frontend is gone. */
  readonly #gone = new AbortController();
  /** Of the streams that have been closed. */
  #before = { frames: 0, xruns: 0 };

  constructor(options: CommandHandlerOptions) {
    this.#options = options;
  }

  /** The answer to one request: at once, or where something has to be waited for, later. Neither throws nor rejects. */
  handle(received: ReceivedRequest): SndifResponse | Promise<SndifResponse> {
    const { id, operation, request } = received;
    try {
      const result = this.#carryOut(request);
      if (result === undefined) return { id, operation, status: 0 };
      if (!(result instanceof Promise)) return { id, operation, status: 0, ranges: result };
      return result.then(
        () => ({ id, operation, status: 0 }),
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
    this.#gone.abort();
    await this.#closeStream({ drain: false }).catch((error: Error) => this.#options.warn(error.message));
  }

  #refuse({ id, operation, request }: ReceivedRequest, error: unknown): SndifResponse {
    const name = request ? nameOf(request.op) : `operation ${operation}`;
    if (!isRepeated(error)) this.#options.warn(`${name} refused: ${(error as Error).message}`);
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
        if ((request.op === 'write') !== (this.#options.config.type === 'playback'))
          throw wrongDirection(request.op);
        return (this.#stream ?? this.#requireOpen()).transfer(request.offset, request.length);
      default:
        this.#requireOpen().volume.carryOut(request.op, request.offset, request.length);
        return undefined;
    }
  }

  async #open(request: OpenRequest): Promise<void> {
    if (this.#stream) throw new Refusal('EBUSY', 'the stream is open already');
    const { config, device, mapper, frontendDomid, guest } = this.#options;
    const { bufferBytes } = request;
    const params = this.#checkOpen(request);
    await guest.admitOpen(this.#gone.signal);
    if (this.#gone.signal.aborted) throw new Refusal('EBADFD', 'the frontend has gone');
    try {
      this.#hold(params, bufferBytes);
      const pages = await mapSharedBuffer(mapper, frontendDomid, request.directoryGref, bufferBytes);
      this.#held.push(() => pages.release());
      const volume = new StreamVolume(params, pages, bufferBytes);
      const options = { ...this.#options, params, pages, bufferBytes, volume };
      this.#stream = await (config.type === 'playback' ? OpenPlayback : OpenCapture).open(device, options);
    } catch (error) {
      await this.#held.releaseAll();
      throw error;
    }
  }

  /** Takes what a stream costs from what the guest may have. Throws {@link LimitRefusal}. */
  #hold({ rate, frameBytes, periodBytes }: DeviceParams, bufferBytes: number): void {
    const { guest } = this.#options;
    const hold = (name: HeldLimit, amount: number, field: string) =>
      this.#held.push(guest.hold(name, amount, field));
    hold('bytes-per-second', rate * frameBytes, `${rate} Hz of ${frameBytes} bytes a frame`);
    hold('buffer-bytes', bufferBytes, 'buffer_sz');
    hold('pages', Math.ceil(bufferBytes / PAGE_SIZE), `the pages of buffer_sz ${bufferBytes}`);
    if (periodBytes === 0) return;
    const positions = Math.min(Math.ceil((rate * frameBytes) / periodBytes), MOST_POSITIONS);
    hold('positions-per-second', positions, `the positions of period_sz ${periodBytes}`);
  }

  /** It stays the stream until the end: a device that drains still takes from it. */
  async #closeStream(options: { drain: boolean }): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined) return;
    try {
      await stream.close(options);
    } finally {
      await this.#held.releaseAll();
      if (this.#stream === stream) {
        this.#before = this.totals;
        this.#stream = undefined;
      }
    }
  }

  /** What OPEN asks for, within what XenStore and the device allow. */
  #checkOpen(request: OpenRequest): DeviceParams {
    const limits = this.#limits;
    const { guest } = this.#options;
    const { rate, channels, bufferBytes, periodBytes } = request;
    guest.check('rate', rate, 'pcm_rate');
    guest.check('channels', channels, 'pcm_channels');
    const require = (isAllowed: boolean, what: string, value: number | string, allowed: string) => {
      if (!isAllowed) throw new Refusal('EINVAL', `${what} is ${value}; allowed: ${allowed}`);
    };
    require(limits.rates.includes(rate), 'pcm_rate', rate, listed(limits.rates));
    const { min, max } = limits.channels;
    require(channels >= min && channels <= max, 'pcm_channels', channels, `${min} to ${max}`);
    const format = limits.formats.find((name) => name === pcmFormatByCode(request.format)?.name);
    const sampleBytes = pcmFormatByCode(request.format)?.sampleBytes;
    if (format === undefined || sampleBytes === undefined) {
      throw new Refusal('EINVAL', `pcm_format is ${request.format}; allowed: ${listed(limits.formats)}`);
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
    const offer = overlapOf(asked, rangesOf(this.#affordable(limits, Math.min(...limits.rates))));
    if (offer.formats === 0n || offer.channels.min > offer.channels.max) return offer;
    // What is left bounds the frames that fit into the buffer, and those that a second may have.
    const left = { ...limits, channels: offer.channels, formats: formatNames(offer.formats) };
    return overlapOf(offer, rangesOf(this.#affordable(left, offer.rates.min)));
  }

  /** What OPEN would be given now, of what the stream could have; `slowest`: Hz, the least that is wanted. */
  #affordable(limits: StreamConfig, slowest: number): StreamConfig {
    const { guest } = this.#options;
    const { rates, formats, channels } = limits;
    if (rates.length === 0 || formats.length === 0) return limits;
    const sampleBytes = Math.min(...formats.map((name) => pcmFormat(name).sampleBytes ?? 1));
    const bytesLeft = guest.left('bytes-per-second');
    const fastest = Math.min(guest.limit('rate'), bytesLeft / (sampleBytes * channels.min));
    const widest = Math.min(guest.limit('channels'), Math.floor(bytesLeft / (sampleBytes * slowest)));
    const bufferBytes = Math.min(guest.left('buffer-bytes'), guest.left('pages') * PAGE_SIZE);
    return {
      ...limits,
      rates: rates.filter((rate) => rate <= fastest),
      channels: { min: channels.min, max: Math.min(channels.max, widest) },
      bufferBytes: Math.min(limits.bufferBytes, bufferBytes),
    };
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
    };
  }

  #requireOpen(): OpenStream {
    if (!this.#stream) throw new Refusal('EBADFD', 'the stream is not open');
    return this.#stream;
  }
}

function wrongDirection(op: 'read' | 'write'): Refusal {
  return new Refusal(
    'EINVAL',
    op === 'read' ? 'a playback stream cannot be read' : 'a capture stream cannot be written',
  );
}

/** What a list allows, for people. */
function listed(values: readonly (number | string)[]): string {
  const more = values.length > MOST_NAMED ? `, and ${values.length - MOST_NAMED} more` : '';
  return values.slice(0, MOST_NAMED).join(', ') + more || 'none';
}

/** As sndif.h spells it: SET_VOLUME. */
function nameOf(op: SndifOpName): string {
  return op.replace(/[A-Z]/g, '_$&').toUpperCase();
}
