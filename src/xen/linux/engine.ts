import type { Loan } from '../../pcm/loan.ts';
import type { SharedMemory } from '../../wire/memory.ts';
import {
  type CaptureCarrier,
  type CountedPosition,
  PARKED,
  type Parked,
  type PlaybackCarrier,
  type Post,
  type Standing,
  type StreamCarrier,
  type StreamEngine,
  type StreamParts,
  type StreamShape,
} from '../stream-engine.ts';
import type { CaptureHandle, CarrierHandle, EngineDevice, Mapping, PlaybackHandle } from './addon.ts';
import { withDevice } from './device-error.ts';
import { LinuxEventPort } from './event-channels.ts';
import { MappedPages } from './pages.ts';

/** Numbers of a standing (ReadStanding in native/carrier_handles.cc), and of each of its posts. */
const STANDING = 11;
const POST = 3;
const MOST_POSTS = 8;

/** Cells of the gauge (native/engine/gauge.h), of 8 bytes. */
const QUEUED = 1;
const STAGED = 2;
const PORTED = 3;
const REPORTS = 4;
const MOST_REPORTS = 1024;

/** The threads of the addon. */
export class LinuxEngine implements StreamEngine {
  readonly #device: () => EngineDevice;

  /** `device`: the one that the next stream's ports are bound through. */
  constructor(device: () => EngineDevice) {
    this.#device = device;
  }

  get isRealTime(): boolean {
    return this.#device().isRealTime();
  }

  playback(
    shape: StreamShape,
    parts: StreamParts,
    stagingBytes: number,
    onWake: () => void,
  ): PlaybackCarrier {
    const device = this.#device();
    return new LinuxPlaybackCarrier(
      withDevice(() => device.playback(shapeOf(shape, parts), stagingBytes, ...memoryOf(parts), onWake)),
      parts,
    );
  }

  capture(shape: StreamShape, parts: StreamParts, stagingBytes: number, onWake: () => void): CaptureCarrier {
    const device = this.#device();
    return new LinuxCaptureCarrier(
      withDevice(() => device.capture(shapeOf(shape, parts), stagingBytes, ...memoryOf(parts), onWake)),
      parts,
    );
  }
}

abstract class LinuxCarrier<Handle extends CarrierHandle> implements StreamCarrier {
  protected readonly handle: Handle;
  /** Bytes that JavaScript has staged, or taken. */
  protected moved = 0;
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;
  readonly #standing = new Float64Array(STANDING + POST * MOST_POSTS);
  readonly #ports: readonly LinuxEventPort[];
  #reportsTaken = 0;

  constructor(handle: Handle, { ringPort, eventPort }: StreamParts) {
    this.handle = handle;
    this.#ports = [ringPort, eventPort].filter((port) => port instanceof LinuxEventPort);
    this.#words = new Int32Array(handle.gauge);
    this.#numbers = new Float64Array(handle.gauge);
  }

  abstract readonly staged: number;

  get queued(): number {
    return this.#numbers[QUEUED] ?? 0;
  }

  /** Bytes that the thread has moved out of the staging ring, or into it. */
  protected get movedByThread(): number {
    return this.#numbers[STAGED] ?? 0;
  }

  /** Bytes that were moved at this end of it: by JavaScript, or by another addon. */
  protected get movedHere(): number {
    return this.moved + (this.#numbers[PORTED] ?? 0);
  }

  carry(standing: Standing, { origin }: Loan, movedAt: number): boolean {
    const numbers = this.#standing;
    const { posts } = standing;
    numbers.set([standing.reqProd, standing.rspCons, standing.nextId]);
    numbers.set([standing.inCons, standing.expectedEventId], 3);
    numbers.set([standing.queued, standing.applied, standing.position], 5);
    numbers.set([standing.oldestSince, movedAt, posts.length], 8);
    for (const [index, post] of posts.entries()) {
      numbers.set([post.id, post.offset, post.length], STANDING + POST * index);
    }
    for (const port of this.#ports) port.unmask();
    return this.handle.carry(numbers, origin);
  }

  takeBack(): Standing & { readonly reason: Parked } {
    const reason = PARKED[this.handle.takeBack(this.#standing)] ?? 'taken';
    const at = (index: number) => this.#standing[index] ?? 0;
    const posts: Post[] = [];
    for (let index = STANDING; posts.length < at(10); index += POST) {
      posts.push({ id: at(index), offset: at(index + 1), length: at(index + 2) });
    }
    return {
      reqProd: at(0),
      rspCons: at(1),
      nextId: at(2),
      inCons: at(3),
      expectedEventId: at(4),
      queued: at(5),
      applied: at(6),
      position: at(7),
      oldestSince: at(8),
      posts,
      reason,
    };
  }

  /** What the thread writes over meanwhile has been told of too late to mean anything. */
  takeReports(handler: (report: CountedPosition) => void): void {
    const count = Atomics.load(this.#words, 0); // orders: the count before the reports that it announces
    let left = Math.min((count - this.#reportsTaken) >>> 0, MOST_REPORTS / 2);
    this.#reportsTaken = count;
    for (; left > 0; left--) {
      const time = this.#report(count - left, 1);
      const isLate = left > 1 && this.#report(count - left + 1, 1) === time;
      handler({ bytes: this.#report(count - left, 0), time, isLate });
    }
  }

  #report(index: number, part: 0 | 1): number {
    return this.#numbers[REPORTS + 2 * ((index >>> 0) % MOST_REPORTS) + part] ?? 0;
  }

  attend(duration: number): void {
    this.handle.attend(duration);
  }

  wakeAtReports(isWoken: boolean): void {
    this.handle.wakeAtReports(isWoken);
  }

  take(into: Uint8Array): number {
    const count = this.handle.take(into);
    this.noteTaken(count);
    return count;
  }

  protected noteTaken(_count: number): void {}

  get port(): unknown {
    return this.handle.port;
  }

  closePort(): void {
    this.handle.closePort();
  }

  close(): void {
    this.handle.close();
  }
}

class LinuxPlaybackCarrier extends LinuxCarrier<PlaybackHandle> implements PlaybackCarrier {
  get staged(): number {
    return this.movedHere - this.movedByThread;
  }

  write(source: Uint8Array, start: number): number {
    const count = this.handle.write(source, start);
    this.moved += count;
    return count;
  }

  wakeAtRoom(): void {
    this.handle.wakeAtRoom();
  }

  tellMoved(bytes: number): void {
    this.handle.tellMoved(bytes);
  }

  end(): void {
    this.handle.end();
  }
}

class LinuxCaptureCarrier extends LinuxCarrier<CaptureHandle> implements CaptureCarrier {
  get staged(): number {
    return this.movedByThread - this.movedHere;
  }

  protected override noteTaken(count: number): void {
    this.moved += count;
  }

  wakeAtFrames(isWaiting: boolean): void {
    this.handle.wakeAtFrames(isWaiting);
  }

  stage(bytes: Uint8Array): void {
    this.handle.stage(bytes);
  }
}

function shapeOf(shape: StreamShape, { ringPort, eventPort }: StreamParts): number[] {
  const { bufferBytes, periodBytes, frameBytes, rate } = shape;
  return [bufferBytes, periodBytes, frameBytes, rate, ringPort.port, eventPort.port];
}

function memoryOf({ ring, events, buffer }: StreamParts): [Mapping, Mapping, Mapping] {
  return [mappingOf(ring), mappingOf(events), mappingOf(buffer)];
}

/** A stream is made of pages of the hypervisor that its engine is of. */
function mappingOf(pages: SharedMemory): Mapping {
  if (pages instanceof MappedPages) return pages.mapping;
  throw new TypeError('these pages are not of the hypervisor of this engine');
}
