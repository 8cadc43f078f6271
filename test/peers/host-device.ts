import type { Clock } from '../../src/clock.ts';

/** What a host device is opened with. */
export interface HostParams {
  /** Hz */
  readonly rate: number;
  readonly frameBytes: number;
  /** Bytes of its buffer. */
  readonly capacity: number;
}

/** How one sound system of a host differs from another. */
export interface HostManners {
  /** Frames between two movements of its position: snd-aloop's timer has 4 ms. */
  readonly step: (rate: number) => number;
  /** Dry, or overrun, it goes on counting: data that comes late is skipped, data that is not fetched is lost. */
  readonly runsOn: boolean;
  /** STOP begins its position anew. */
  readonly restartsAtStop: boolean;
  /** CLOSE plays out what it has. */
  readonly drains: boolean;
}

/** The time since a host device runs, in frames. */
class FrameCount {
  readonly #clock: Clock;
  readonly #rate: number;
  #before = 0;
  #since: number | undefined;

  constructor(clock: Clock, rate: number) {
    this.#clock = clock;
    this.#rate = rate;
  }

  get frames(): number {
    if (this.#since === undefined) return this.#before;
    return this.#before + Math.floor(((this.#clock.now() - this.#since) * this.#rate) / 1e9 + 1e-6);
  }

  go(): void {
    this.#since ??= this.#clock.now();
  }

  halt(at = this.frames): void {
    this.#before = at;
    this.#since = undefined;
  }
}

/** What both directions have: START, PAUSE and STOP, and a position in bytes. */
abstract class HostDevice {
  readonly params: HostParams;
  protected readonly manners: HostManners;
  protected readonly count: FrameCount;
  isRunning = false;
  isPaused = false;

  constructor(clock: Clock, params: HostParams, manners: HostManners) {
    this.params = params;
    this.manners = manners;
    this.count = new FrameCount(clock, params.rate);
  }

  pause(): void {
    this.update();
    this.count.halt();
    this.isRunning = false;
    this.isPaused = true;
  }

  resume(): void {
    this.isRunning = true;
    this.isPaused = false;
    this.count.go();
  }

  /** Moves it to the present. */
  abstract update(): void;

  /** Bytes until now, in whole steps. */
  protected get stepped(): number {
    const { rate, frameBytes } = this.params;
    const step = this.manners.step(rate);
    return Math.floor(this.count.frames / step) * step * frameBytes;
  }

  /** Bytes until now. */
  protected get due(): number {
    return this.count.frames * this.params.frameBytes;
  }
}

/** A host's device that plays. */
export class HostPlayback extends HostDevice {
  /** What has been played, in order. */
  readonly heard: Buffer[] = [];
  /** Written and not played, and the place of its first byte on the device's own count. */
  #queue = Buffer.alloc(0);
  #queueAt = 0;
  #written = 0;
  /** The first report of an underrun is a step too high. */
  #overshoots = false;
  isDry = false;

  /** Bytes that can be written without waiting. */
  get room(): number {
    this.update();
    return this.params.capacity - this.#queue.length;
  }

  get queued(): number {
    this.update();
    return this.#queue.length;
  }

  write(bytes: Buffer): void {
    this.update();
    this.#written += bytes.length;
    const behind = this.isRunning && this.manners.runsOn ? this.due - this.#queueAt - this.#queue.length : 0;
    const late = Math.min(Math.max(0, behind), bytes.length);
    this.#queueAt += late;
    this.#queue = Buffer.concat([this.#queue, bytes.subarray(late)]);
    if (!this.isDry) return;
    this.isDry = false;
    this.count.go();
    this.update();
  }

  start(): void {
    this.isRunning = true;
    this.count.go();
  }

  stop(): void {
    this.update();
    this.isRunning = this.isPaused = this.isDry = false;
    this.#queue = Buffer.alloc(0);
    if (this.manners.restartsAtStop) {
      this.count.halt(0);
      this.#queueAt = 0;
    } else {
      this.count.halt();
      this.#queueAt = this.due;
    }
  }

  /** Bytes, as the position timer reports them. */
  get position(): number {
    this.update();
    if (!this.isDry) return this.stepped;
    const { rate, frameBytes } = this.params;
    const over = this.#overshoots ? this.manners.step(rate) * frameBytes : 0;
    this.#overshoots = false;
    return this.#written + over;
  }

  override update(): void {
    const wanted = Math.max(0, this.due - this.#queueAt);
    const played = this.#queue.subarray(0, Math.min(wanted, this.#queue.length));
    if (played.length > 0) this.heard.push(Buffer.from(played));
    this.#queue = this.#queue.subarray(played.length);
    this.#queueAt += played.length;
    if (!this.isRunning || this.#queue.length > 0 || this.isDry || this.manners.runsOn) return;
    this.isDry = this.#overshoots = true;
    this.count.halt(this.#queueAt / this.params.frameBytes);
  }
}

/** A host's device that captures what `fill` gives it. */
export class HostCapture extends HostDevice {
  readonly #fill: (bytes: Buffer) => void;
  #captured = Buffer.alloc(0);
  /** Bytes captured since START. */
  #taken = 0;
  isOverrun = false;

  constructor(clock: Clock, params: HostParams, manners: HostManners, fill: (bytes: Buffer) => void) {
    super(clock, params, manners);
    this.#fill = fill;
  }

  get available(): number {
    this.update();
    return this.#captured.length;
  }

  start(): void {
    this.isRunning = true;
    this.count.go();
  }

  stop(): void {
    this.update();
    this.isRunning = this.isPaused = this.isOverrun = false;
    this.#captured = Buffer.alloc(0);
    if (this.manners.restartsAtStop) {
      this.count.halt(0);
      this.#taken = 0;
    } else {
      this.count.halt();
    }
  }

  read(length: number): Buffer {
    const bytes = this.#captured.subarray(0, length);
    this.#captured = this.#captured.subarray(length);
    return bytes;
  }

  get position(): number {
    this.update();
    return this.isOverrun ? 0 : this.#taken;
  }

  override update(): void {
    if (this.isOverrun) return;
    const fresh = Buffer.alloc(Math.max(0, this.stepped - this.#taken));
    this.#fill(fresh);
    this.#taken += fresh.length;
    this.#captured = Buffer.concat([this.#captured, fresh]);
    const excess = this.#captured.length - this.params.capacity;
    if (excess <= 0) return;
    if (this.manners.runsOn) {
      this.#captured = this.#captured.subarray(excess);
    } else {
      this.isOverrun = true;
      this.count.halt();
    }
  }
}
