import type { SndifTriggerName } from '../../src/wire/sndif.ts';
import type { RawBuffer, RawChannel, RawFrontend } from '../backend/raw-frontend.ts';
import type { World } from '../backend/world.ts';
import { FRAME } from '../sound.ts';

/** Frames; 4 bytes each: 48 kHz, stereo, s16_le. */
export interface Sizes {
  readonly bufferFrames: number;
  readonly periodFrames: number;
}

/** VSND_WAIT_BACK_MS */
const PATIENCE = 3e9;

/**
 * snd_xen_front and the program above it (aplay, arecord), as far as a backend can tell: one WRITE or READ at a time, a
 * period long; positions are followed by their differences, over STOP and START as well; an event that does not have the
 * next id is ignored, and all behind it; the program is woken by an advance of more than a period.
 */
export class KernelDriver {
  readonly #world: World;
  readonly #channel: RawChannel;
  readonly #buffer: RawBuffer;
  readonly #sizes: Sizes;
  #nextEventId = 0;
  #reported = 0;
  #wokenAt = 0;
  /** Frames, as ALSA counts them. */
  #hwPtr = 0;
  #applPtr = 0;
  #isRunning = false;
  #isFrozen = false;
  /** How often the program was woken, and how often it had an xrun. */
  readonly counts = { wakes: 0, xruns: 0 };

  static async open(world: World, { bufferFrames, periodFrames }: Sizes): Promise<KernelDriver> {
    const guest: RawFrontend = world.guest;
    const channel = await guest.connectOne();
    const buffer = await guest.createBuffer(bufferFrames * FRAME);
    const sizes = { bufferFrames, periodFrames };
    const driver = new KernelDriver(world, channel, buffer, sizes);
    await driver.#ask(() =>
      channel.open(buffer, { bufferBytes: bufferFrames * FRAME, periodBytes: periodFrames * FRAME }),
    );
    return driver;
  }

  private constructor(world: World, channel: RawChannel, buffer: RawBuffer, sizes: Sizes) {
    this.#world = world;
    this.#channel = channel;
    this.#buffer = buffer;
    this.#sizes = sizes;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** Plays as aplay does: begins with a full buffer, recovers from an xrun; `pause`: frames to stand still for before a period. */
  async play(bytes: Uint8Array, stalls: ReadonlyMap<number, number> = new Map()): Promise<void> {
    const { periodFrames, bufferFrames } = this.#sizes;
    for (let at = 0, period = 0; at < bytes.length; at += periodFrames * FRAME, period++) {
      await this.#world.clock.advance(stalls.get(period) ?? 0);
      this.#takeEvents();
      if (this.#isRunning && this.#hwPtr >= this.#applPtr) await this.#recover();
      await this.#waitFor(() => this.#applPtr - this.#hwPtr + periodFrames <= bufferFrames);
      const piece = Buffer.alloc(periodFrames * FRAME);
      piece.set(bytes.subarray(at, at + piece.length));
      await this.#transfer('write', piece);
      if (!this.#isRunning && this.#applPtr - this.#hwPtr === bufferFrames) await this.#start();
    }
    if (!this.#isRunning) await this.#start();
    await this.#waitFor(() => this.#hwPtr >= this.#applPtr);
    await this.#trigger('stop');
  }

  /** Records as arecord does; `stalls` as in {@link play}. */
  async record(frames: number, stalls: ReadonlyMap<number, number> = new Map()): Promise<Buffer> {
    const { periodFrames, bufferFrames } = this.#sizes;
    const pieces: Buffer[] = [];
    await this.#start();
    for (let period = 0; period * periodFrames < frames; period++) {
      await this.#world.clock.advance(stalls.get(period) ?? 0);
      this.#takeEvents();
      if (this.#hwPtr - this.#applPtr > bufferFrames) {
        await this.#recover();
        await this.#start();
      }
      await this.#waitFor(() => this.#hwPtr - this.#applPtr >= periodFrames);
      pieces.push(await this.#transfer('read', Buffer.alloc(periodFrames * FRAME)));
    }
    await this.#trigger('stop');
    return Buffer.concat(pieces);
  }

  async close(): Promise<void> {
    await this.#ask(() => this.#channel.close());
  }

  /** Bytes go through the buffer at the application's place. */
  async #transfer(op: 'read' | 'write', bytes: Buffer): Promise<Buffer> {
    const offset = (this.#applPtr % this.#sizes.bufferFrames) * FRAME;
    if (op === 'write') this.#buffer.put(offset, bytes);
    await this.#ask(() => this.#channel.status({ op, offset, length: bytes.length }));
    this.#applPtr += bytes.length / FRAME;
    return op === 'write' ? bytes : Buffer.from(this.#buffer.read(offset, bytes.length));
  }

  async #start(): Promise<void> {
    await this.#trigger('start');
    this.#isRunning = true;
  }

  async #trigger(trigger: SndifTriggerName): Promise<void> {
    await this.#ask(() => this.#channel.trigger(trigger));
    if (trigger === 'stop') this.#isRunning = false;
  }

  /** Waits until the program is woken and finds what it waits for. */
  async #waitFor(isThere: () => boolean): Promise<void> {
    const { clock } = this.#world;
    const { periodFrames, bufferFrames } = this.#sizes;
    this.#takeEvents();
    for (let waited = 0; !isThere(); waited += periodFrames) {
      if (waited > 20 * bufferFrames) throw new Error('the program above the driver is never woken');
      const { wakes } = this.counts;
      for (let step = 0; step < 4 && this.counts.wakes === wakes; step++) {
        await clock.advance(periodFrames / 2);
        this.#takeEvents();
      }
    }
  }

  /** An xrun: STOP, and all from the beginning. */
  async #recover(): Promise<void> {
    this.counts.xruns++;
    await this.#trigger('stop');
    this.#takeEvents();
    this.#hwPtr = this.#applPtr = 0;
  }

  #takeEvents(): void {
    for (const { id, position } of this.#channel.takeEvents()) {
      if (id !== this.#nextEventId) this.#isFrozen = true;
      if (this.#isFrozen) return;
      this.#nextEventId = (this.#nextEventId + 1) & 0xffff;
      const frames = Number(position) / FRAME;
      this.#hwPtr += frames - this.#reported;
      this.#reported = frames;
      if (Math.abs(frames - this.#wokenAt) <= this.#sizes.periodFrames) continue;
      this.#wokenAt = frames;
      this.counts.wakes++;
    }
  }

  /** Every request is answered in time, and with 0. */
  async #ask(request: () => Promise<number>): Promise<void> {
    const begin = this.#world.clock.now();
    const status = await request();
    if (status !== 0) throw new Error(`the backend answered ${status}`);
    if (this.#world.clock.now() - begin > PATIENCE) throw new Error('the driver has given up');
  }
}
