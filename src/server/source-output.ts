import type { StreamFormat } from '../pulse/format-info.ts';
import { encodeKilled } from '../pulse/messages.ts';
import { encodePacket } from '../pulse/packet.ts';
import type { RecordAttributes, RecordRequest } from '../pulse/requests.ts';
import { PULSE_FORMATS } from '../pulse/sample-spec.ts';
import type { PropertyList } from '../pulse/tagged.ts';
import { negotiateRecord } from './buffer-attributes.ts';
import type { StreamOwner } from './client-stream.ts';
import { BACKLOG } from './limits.ts';
import { isSameFormat, SampleConverter, valuesOf } from './sample-converter.ts';
import { StreamGain } from './stream-gain.ts';

/** The source that a stream records. */
export interface OutputTarget {
  readonly format: StreamFormat;
  /** Whether anybody records is another thing now, or how much is sent at a time. */
  handleWish(): void;
}

export interface OutputOptions extends StreamFormat {
  readonly index: number;
  readonly channel: number;
  readonly owner: StreamOwner;
  readonly request: RecordRequest;
}

/** A record stream of a client. */
export class SourceOutput implements StreamFormat {
  readonly index: number;
  readonly channel: number;
  readonly spec: StreamFormat['spec'];
  readonly map: StreamFormat['map'];
  readonly gain: StreamGain;
  properties: PropertyList;
  readonly #owner: StreamOwner;
  readonly #target: OutputTarget;
  readonly #frameBytes: number;
  /** Undefined where the source's frames are its own, as they are. */
  readonly #converter: SampleConverter | undefined;
  #attributes: RecordAttributes;
  #isCorked: boolean;
  /** What is less than a fragment. */
  #pieces: Uint8Array[] = [];
  #waiting = 0;
  /** Bytes that have been sent, or dropped because the client did not read. */
  #readIndex = 0;
  #lost = 0;

  /** Rejects with PulseError where the source's frames cannot be converted. */
  static async create(options: OutputOptions, target: OutputTarget): Promise<SourceOutput> {
    const { rate, channels } = target.format.spec;
    const gain = new StreamGain(channels, rate);
    const isExact = isSameFormat(target.format, options);
    const converter = isExact ? undefined : await SampleConverter.create(target.format, options, gain);
    return new SourceOutput(options, target, gain, converter);
  }

  private constructor(
    options: OutputOptions,
    target: OutputTarget,
    gain: StreamGain,
    converter: SampleConverter | undefined,
  ) {
    const { spec, map, request } = options;
    this.index = options.index;
    this.channel = options.channel;
    this.spec = spec;
    this.map = map;
    this.gain = gain;
    this.properties = request.properties;
    this.#owner = options.owner;
    this.#target = target;
    this.#converter = converter;
    this.#isCorked = request.isCorked;
    this.#frameBytes = (PULSE_FORMATS[spec.format]?.sampleBytes ?? 1) * spec.channels;
    this.#attributes = negotiateRecord(request.attributes, this.#bytes);
  }

  get client(): number {
    return this.#owner.client;
  }

  get attributes(): RecordAttributes {
    return this.#attributes;
  }

  get isCorked(): boolean {
    return this.#isCorked;
  }

  get resamples(): boolean {
    return this.#converter?.resamples ?? false;
  }

  /** s that are sent at a time. */
  get fragment(): number {
    return this.#attributes.fragmentSize / this.#bytes.bytesPerSecond;
  }

  /** Bytes that were dropped because the client did not read. */
  get lost(): number {
    return this.#lost;
  }

  get indexes() {
    return { writeIndex: this.#readIndex + this.#waiting, readIndex: this.#readIndex };
  }

  /** Microseconds of sound that wait to be a fragment. */
  get bufferLatency(): number {
    return (this.#waiting / this.#bytes.bytesPerSecond) * 1e6;
  }

  /** Frames of the source. */
  take(frames: Uint8Array): void {
    if (this.#isCorked) return;
    const bytes = this.#convert(frames);
    this.#pieces.push(bytes);
    this.#waiting += bytes.length;
    if (this.#waiting >= this.#attributes.fragmentSize) this.#send();
  }

  cork(isCorked: boolean): void {
    if (isCorked === this.#isCorked) return;
    this.#isCorked = isCorked;
    this.#target.handleWish();
  }

  /** What has not been sent never will be. */
  flush(): void {
    this.#readIndex += this.#waiting;
    this.#pieces = [];
    this.#waiting = 0;
    this.#converter?.reset();
  }

  setAttributes(attributes: RecordAttributes): void {
    this.#attributes = negotiateRecord(attributes, this.#bytes);
    this.#target.handleWish();
  }

  kill(): void {
    this.#owner.send(encodeKilled('record', this.channel));
  }

  /** Gives its memory back. Idempotent. */
  close(): void {
    this.#isCorked = true;
    this.#converter?.close();
  }

  get #bytes() {
    return { frameBytes: this.#frameBytes, bytesPerSecond: this.#frameBytes * this.spec.rate };
  }

  #convert(frames: Uint8Array): Uint8Array {
    const { format } = this.spec;
    const converter = this.#converter;
    if (converter) {
      converter.push(frames);
      return valuesOf(format).write(converter.take(converter.readyFrames));
    }
    if (this.gain.isPlain) {
      this.gain.noteBegun();
      return frames;
    }
    const values = valuesOf(format).read(frames);
    this.gain.apply(values);
    return valuesOf(format).write(values);
  }

  /** Fragments: ffmpeg gives up where more comes at once. */
  #send(): void {
    const { fragmentSize } = this.#attributes;
    let rest = Buffer.concat(this.#pieces);
    for (; rest.length >= fragmentSize; rest = rest.subarray(fragmentSize)) {
      if (this.#owner.backlog > BACKLOG.data) this.#lost += fragmentSize;
      else this.#owner.send(encodePacket(this.channel, rest.subarray(0, fragmentSize)));
      this.#readIndex += fragmentSize;
    }
    this.#pieces = [Buffer.from(rest)];
    this.#waiting = rest.length;
  }
}
