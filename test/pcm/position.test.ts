import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CapturePosition, PlaybackPosition, type Span, spans } from '../../src/pcm/position.ts';
import { expectCode, thrownBy } from '../wire/support.ts';

/** The octets of the buffer that the spans name, in their order. */
const octetsOf = (where: readonly Span[]): number[] =>
  where.flatMap(({ offset, length }) => Array.from({ length }, (_, index) => offset + index));

/** Where `length` octets from `position` lie, one by one. */
const octetsFrom = (position: number, length: number, size: number): number[] =>
  Array.from({ length }, (_, index) => (position + index) % size);

describe('spans', () => {
  it('cover exactly the octets asked for, in order, for every small buffer', () => {
    for (let size = 1; size <= 9; size++) {
      for (let position = 0; position <= 2 * size; position++) {
        for (let length = 0; length <= size; length++) {
          const where = spans(position, length, size);
          expect(octetsOf(where)).toEqual(octetsFrom(position, length, size));
          expect(where.length).toBeLessThanOrEqual(2);
          expect(where.every((span) => span.length > 0)).toBe(true);
        }
      }
    }
  });

  it('are one where nothing wraps, two where it does, and none of nothing', () => {
    expect(spans(24, 8, 32)).toEqual([{ offset: 24, length: 8 }]);
    expect(spans(24, 9, 32)).toEqual([
      { offset: 24, length: 8 },
      { offset: 0, length: 1 },
    ]);
    expect(spans(32, 32, 32)).toEqual([{ offset: 0, length: 32 }]);
    expect(spans(31, 32, 32)).toEqual([
      { offset: 31, length: 1 },
      { offset: 0, length: 31 },
    ]);
    expect(spans(7, 0, 32)).toEqual([]);
  });

  it('stay in the buffer and lose nothing, wherever the position is', () => {
    const cases = fc
      .integer({ min: 1, max: 2 ** 32 - 1 })
      .chain((size) =>
        fc.tuple(
          fc.oneof(fc.integer({ min: 0, max: 2 ** 40 }), fc.maxSafeInteger().map(Math.abs)),
          fc.integer({ min: 1, max: size }),
          fc.constant(size),
        ),
      );
    fc.assert(
      fc.property(cases, ([position, length, size]) => {
        const where = spans(position, length, size);
        expect(where[0]?.offset).toBe(Number(BigInt(position) % BigInt(size)));
        expect(where[1]?.offset ?? 0).toBe(0);
        expect(where.reduce((sum, span) => sum + span.length, 0)).toBe(length);
        for (const span of where) expect(span.offset + span.length).toBeLessThanOrEqual(size);
      }),
    );
  });
});

/** Buffers of all shapes: frames of odd sizes, few frames, many. */
const shape = fc.record({
  frameBytes: fc.constantFrom(1, 2, 3, 4, 6, 8, 24),
  frames: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 100 })),
});

type Action =
  | { kind: 'enqueue' | 'acknowledge' | 'play'; share: number }
  /** How many plays ago the reported position was true; where all has been played, `past` if that is more. */
  | { kind: 'report'; age: number; past: number };

/** Also all and nothing. */
const share = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }));
/** More than was put in, up to what a number can say. */
const past = fc.oneof(fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER), fc.maxSafeNat());
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constantFrom('enqueue', 'acknowledge', 'play'), share }),
  fc.record({ kind: fc.constant('report'), age: fc.constantFrom(0, 0, 0, 1, 2, 5), past }),
);

/** A backend that plays octet by octet what is in the buffer, and is checked whenever the buffer changes. */
class Model {
  readonly position: PlaybackPosition;
  readonly frameBytes: number;
  /** For each octet of the buffer, which one of the stream it holds. */
  readonly buffer: (number | undefined)[];
  readonly truths = [0];
  queued = 0;
  acknowledged = 0;
  reported = 0;

  constructor(frames: number, frameBytes: number) {
    this.frameBytes = frameBytes;
    this.position = new PlaybackPosition(frames * frameBytes, frameBytes);
    this.buffer = new Array(frames * frameBytes).fill(undefined);
  }

  get played(): number {
    return this.truths.at(-1) ?? 0;
  }

  carryOut(action: Action): void {
    switch (action.kind) {
      case 'enqueue': {
        const frames = Math.round((action.share * this.position.room) / this.frameBytes);
        this.enqueue(frames * this.frameBytes);
        break;
      }
      case 'acknowledge':
        this.acknowledge(Math.round(action.share * this.buffer.length));
        break;
      case 'play':
        this.truths.push(this.played + Math.round(action.share * (this.queued - this.played)));
        break;
      case 'report': {
        const truth = this.truths.at(-1 - action.age) ?? 0;
        this.report(truth === this.queued ? Math.max(truth, action.past) : truth);
        break;
      }
    }
  }

  enqueue(length: number): void {
    const octets = octetsOf(this.position.enqueue(length));
    expect(octets).toEqual(octetsFrom(this.queued, length, this.buffer.length));
    const overwritten = octets.filter((octet) => (this.buffer[octet] ?? -1) >= this.played);
    expect(overwritten, 'octets that have not been played').toEqual([]);
    for (const octet of octets) this.buffer[octet] = this.queued++;
  }

  acknowledge(length: number): void {
    this.position.acknowledge(length);
    this.acknowledged = Math.min(this.queued, this.acknowledged + length);
  }

  report(position: number): void {
    const before = this.reported;
    if (position > before) this.reported = Math.min(position, this.queued);
    expect(this.position.report(position)).toBe(this.reported - before);
  }

  check(): void {
    const { position, frameBytes, buffer } = this;
    expect(position).toMatchObject({
      queued: this.queued,
      applPtr: this.acknowledged,
      hwPtr: this.reported,
      isEmpty: this.reported === this.queued,
    });
    const free = buffer.length - (this.queued - this.reported);
    expect(position.room % frameBytes).toBe(0);
    expect(free - position.room).toBeGreaterThanOrEqual(0);
    expect(free - position.room).toBeLessThan(frameBytes);
    const unplayed = octetsOf(position.unplayed).map((octet) => buffer[octet]);
    const begin = this.reported - (this.reported % frameBytes);
    expect(unplayed).toEqual(Array.from({ length: this.queued - begin }, (_, index) => begin + index));
  }
}

describe('a playback position', () => {
  it('starts empty, with the whole buffer as room', () => {
    expect(new PlaybackPosition(4096, 4)).toMatchObject({
      bufferBytes: 4096,
      queued: 0,
      applPtr: 0,
      hwPtr: 0,
      room: 4096,
      isEmpty: true,
      unplayed: [],
    });
  });

  it.each([
    [0, 4],
    [2, 4],
    [4097, 4],
    [7, 6],
    [Number.NaN, 4],
    [-4, 4],
  ])('cannot be one of %d octets for frames of %d', (bufferBytes, frameBytes) => {
    const error = thrownBy(() => new PlaybackPosition(bufferBytes, frameBytes));
    expect(error).toMatchObject({
      code: 'ERR_VSND_INVALID_STATE',
      message: `a buffer of ${bufferBytes} octets for frames of ${frameBytes}`,
    });
  });

  it('never lets octets in that would overwrite what has not been played, whatever is reported when', () => {
    fc.assert(
      fc.property(
        shape,
        fc.array(action, { maxLength: 60, size: 'max' }),
        ({ frames, frameBytes }, actions) => {
          const model = new Model(frames, frameBytes);
          for (const step of actions) {
            model.carryOut(step);
            model.check();
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('takes any number for a position: it only grows, and never past what was put in', () => {
    const hostile = fc.oneof(fc.maxSafeInteger(), fc.nat(200));
    fc.assert(
      fc.property(
        shape,
        fc.array(fc.tuple(share, hostile), { maxLength: 40 }),
        ({ frames, frameBytes }, sequence) => {
          const model = new Model(frames, frameBytes);
          for (const [part, position] of sequence) {
            model.truths.push(model.reported); // what this backend says is all that we know
            model.carryOut({ kind: 'enqueue', share: part });
            model.report(position);
            model.check();
          }
        },
      ),
    );
  });

  it('refuses more than its room, parts of frames, and what is no number', () => {
    const position = new PlaybackPosition(24, 6);
    for (const length of [30, 25, 5, 1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expectCode(() => position.enqueue(length), 'ERR_VSND_INVALID_STATE');
      expect(position.queued).toBe(0);
    }
    position.enqueue(18);
    expect(thrownBy(() => position.enqueue(12))).toMatchObject({ message: '12 octets into a room of 6' });
    expect(position.enqueue(6)).toEqual([{ offset: 18, length: 6 }]);
    expect(position.room).toBe(0);
    expect(position.enqueue(0)).toEqual([]);
  });

  it('wraps into the room that a report has made', () => {
    const position = new PlaybackPosition(24, 4);
    position.enqueue(24);
    expect(position.report(8)).toBe(8);
    expect(position.enqueue(8)).toEqual([{ offset: 0, length: 8 }]);
    position.report(28);
    expect(position.enqueue(20)).toEqual([
      { offset: 8, length: 16 },
      { offset: 0, length: 4 },
    ]);
  });

  it('moves nothing for a late or a doubled report, and all at once for a merged one', () => {
    const position = new PlaybackPosition(64, 4);
    position.enqueue(64);
    expect([16, 16, 8, 0, 48, 32, 48].map((at) => position.report(at))).toEqual([16, 0, 0, 0, 32, 0, 0]);
    expect(position.hwPtr).toBe(48);
  });

  it('counts a report past what was written as all of it, and one after that from there', () => {
    const position = new PlaybackPosition(64, 4);
    position.enqueue(32);
    expect(position.report(36)).toBe(32);
    expect(position.isEmpty).toBe(true);
    position.enqueue(32);
    expect(position.hwPtr).toBe(32);
    expect(position.report(Number.MAX_SAFE_INTEGER)).toBe(32);
    expect(position.hwPtr).toBe(64);
  });

  it('gives no room for a part of a frame: a position inside one counts as the last whole one', () => {
    const position = new PlaybackPosition(24, 6);
    position.enqueue(24);
    expect([5, 6, 11, 17].map((at) => [position.report(at), position.room])).toEqual([
      [5, 0],
      [1, 6],
      [5, 6],
      [6, 12],
    ]);
    expect(position.isEmpty).toBe(false);
    position.report(23);
    expect([position.isEmpty, position.room]).toEqual([false, 18]);
    position.report(24);
    expect([position.isEmpty, position.room]).toEqual([true, 24]);
  });

  it('counts exactly up to 2^53 octets, which no stream lives to see', () => {
    const position = new PlaybackPosition(2 ** 52, 4);
    position.enqueue(2 ** 52);
    expect(position.report(2 ** 52)).toBe(2 ** 52);
    position.enqueue(2 ** 52 - 4);
    expect(position.queued).toBe(2 ** 53 - 4);
    expect(position.report(2 ** 53 - 5)).toBe(2 ** 52 - 5);
    expect(position.isEmpty).toBe(false);
    expect(position.report(2 ** 53)).toBe(1);
    expect(position.isEmpty).toBe(true);
  });

  it('says where that lies which has not been played, from the frame on that has been played in part', () => {
    const position = new PlaybackPosition(24, 6);
    position.enqueue(24);
    position.report(11);
    expect(position.unplayed).toEqual([{ offset: 6, length: 18 }]);
    position.report(12);
    position.enqueue(6);
    expect(position.unplayed).toEqual([
      { offset: 12, length: 12 },
      { offset: 0, length: 6 },
    ]);
    position.report(29);
    expect(position.unplayed).toEqual([{ offset: 0, length: 6 }]);
    position.report(30);
    expect(position.unplayed).toEqual([]);
  });

  it('acknowledges no more than was put in', () => {
    const position = new PlaybackPosition(64, 4);
    position.acknowledge(8);
    expect(position.applPtr).toBe(0);
    position.enqueue(16);
    position.acknowledge(12);
    expect(position.applPtr).toBe(12);
    position.acknowledge(8);
    expect(position.applPtr).toBe(16);
  });
});

describe('the rest of the last period', () => {
  it('is what lies between the last octet and the end of its period, as far as there is room', () => {
    const cases = fc.record({
      shape,
      periodFrames: fc.integer({ min: 1, max: 120 }),
      sequence: fc.array(fc.tuple(share, share), { minLength: 1, maxLength: 12 }),
    });
    fc.assert(
      fc.property(cases, ({ shape: { frames, frameBytes }, periodFrames, sequence }) => {
        const size = frames * frameBytes;
        const period = periodFrames * frameBytes;
        const position = new PlaybackPosition(size, frameBytes);
        for (const [enqueued, reported] of sequence) {
          position.enqueue(Math.floor((enqueued * position.room) / frameBytes) * frameBytes);
          position.report(Math.floor(reported * position.queued));
          const end = Math.ceil(position.queued / period) * period;
          const length = Math.min(end - position.queued, position.room);
          const before = position.queued;
          expect(octetsOf(position.restOfPeriod(period))).toEqual(octetsFrom(before, length, size));
          expect(position.queued).toBe(before);
        }
      }),
    );
  });

  it('is nothing at the end of a period, and all but a frame after its first frame', () => {
    const position = new PlaybackPosition(40, 4);
    expect(position.restOfPeriod(16)).toEqual([]);
    position.enqueue(16);
    expect(position.restOfPeriod(16)).toEqual([]);
    position.enqueue(4);
    expect(position.restOfPeriod(16)).toEqual([{ offset: 20, length: 12 }]);
  });

  it('wraps, and ends where unplayed octets begin', () => {
    const position = new PlaybackPosition(40, 4);
    position.enqueue(36);
    position.report(4);
    expect(position.restOfPeriod(16)).toEqual([
      { offset: 36, length: 4 },
      { offset: 0, length: 4 },
    ]);
    position.report(36);
    expect(position.restOfPeriod(16)).toEqual([
      { offset: 36, length: 4 },
      { offset: 0, length: 8 },
    ]);
  });
});

/** A backend that captures octet by octet into a ring of its own, and hands out what READ asks for. */
class Source {
  readonly position: CapturePosition;
  readonly frameBytes: number;
  readonly size: number;
  captured = 0;
  reported = 0;
  asked = 0;

  constructor(frames: number, frameBytes: number) {
    this.frameBytes = frameBytes;
    this.size = frames * frameBytes;
    this.position = new CapturePosition(this.size, frameBytes);
  }

  capture(octets: number): void {
    this.captured += octets;
  }

  report(position: number): void {
    const advance = Math.max(0, position - this.reported);
    expect(this.position.report(position)).toBe(advance);
    this.reported += advance;
  }

  /** READ of `share` of what there is. */
  read(share: number): void {
    const frames = Math.floor((share * Math.min(this.position.available, this.size)) / this.frameBytes);
    const length = frames * this.frameBytes;
    expect(octetsOf(this.position.dequeue(length))).toEqual(octetsFrom(this.asked, length, this.size));
    this.asked += length;
  }

  check(): void {
    const { position, frameBytes } = this;
    const ready = this.reported - this.asked;
    expect(position).toMatchObject({ hwPtr: this.reported, applPtr: this.asked });
    expect(position.available % frameBytes).toBe(0);
    expect(ready - position.available).toBeGreaterThanOrEqual(0);
    expect(ready - position.available).toBeLessThan(frameBytes);
    expect(this.asked + position.available, 'a READ that would block').toBeLessThanOrEqual(this.captured);
    expect(position.isOverrun).toBe(ready - (ready % frameBytes) > this.size);
  }
}

describe('a capture position', () => {
  it('starts empty', () => {
    expect(new CapturePosition(4096, 4)).toMatchObject({
      bufferBytes: 4096,
      applPtr: 0,
      hwPtr: 0,
      available: 0,
      isOverrun: false,
    });
  });

  it('gives each whole frame that has been captured once, in order, and none before, whatever is reported when', () => {
    const steps = fc.array(
      fc.record({ captured: share, late: fc.constantFrom(0, 0, 0, 1, 7, 100), asked: share }),
      { maxLength: 60, size: 'max' },
    );
    fc.assert(
      fc.property(shape, steps, ({ frames, frameBytes }, sequence) => {
        const source = new Source(frames, frameBytes);
        for (const { captured, late, asked } of sequence) {
          source.capture(Math.floor(captured * 1.5 * source.size));
          source.report(Math.max(0, source.captured - late));
          source.check();
          source.read(asked);
          source.check();
        }
      }),
      { numRuns: 500 },
    );
  });

  it('does not go back for a report that is late, or doubled', () => {
    const position = new CapturePosition(64, 4);
    expect([16, 16, 8, 0, 48, 32].map((at) => position.report(at))).toEqual([16, 0, 0, 0, 32, 0]);
    expect(position.hwPtr).toBe(48);
  });

  it('has whole frames only: a part of one is not there yet', () => {
    const position = new CapturePosition(24, 6);
    expect([5, 6, 11, 12].map((at) => [position.report(at), position.available])).toEqual([
      [5, 0],
      [1, 6],
      [5, 6],
      [1, 12],
    ]);
    position.dequeue(6);
    expect(position.available).toBe(6);
  });

  it('is overrun when more was captured than the buffer holds, not when it is full', () => {
    const position = new CapturePosition(24, 4);
    position.report(24);
    expect([position.available, position.isOverrun]).toEqual([24, false]);
    position.report(27);
    expect([position.available, position.isOverrun]).toEqual([24, false]);
    position.report(28);
    expect([position.available, position.isOverrun]).toEqual([28, true]);
    position.dequeue(4);
    expect(position.isOverrun).toBe(false);
  });

  it('says where in the buffer what is read is to be put: on from the last, around its end', () => {
    const position = new CapturePosition(24, 4);
    expect(position.dequeue(0)).toEqual([]);
    expect(position.dequeue(20)).toEqual([{ offset: 0, length: 20 }]);
    expect(position.dequeue(12)).toEqual([
      { offset: 20, length: 4 },
      { offset: 0, length: 8 },
    ]);
    expect(position.applPtr).toBe(32);
  });

  it('counts exactly up to 2^53 octets', () => {
    const position = new CapturePosition(64, 1);
    expect(position.report(2 ** 53 - 2)).toBe(2 ** 53 - 2);
    position.dequeue(2 ** 53 - 3);
    expect([position.available, position.report(2 ** 53 - 1), position.available]).toEqual([1, 1, 2]);
    expect(position.dequeue(2)).toEqual([{ offset: 61, length: 2 }]);
  });
});
