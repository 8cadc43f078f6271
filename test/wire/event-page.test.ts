import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EVENT_RING_SIZE, EVENT_SIZE, EventConsumer, EventProducer } from '../../src/wire/event-page.ts';
import { type CurPosEvent, decodeEvent, encodeCurPos } from '../../src/wire/sndif.ts';
import { golden, pageFromHex, toHex } from '../golden/golden.ts';
import { ArrayMemory, traced } from './memory.ts';
import { bytes as data, expectCode, startIndex, u32, valueOrProtocolError } from './support.ts';

const IN_CONS = golden.offsets['xensnd_event_page.in_cons'] ?? Number.NaN;
const IN_PROD = golden.offsets['xensnd_event_page.in_prod'] ?? Number.NaN;
const TYPE = golden.offsets['xensnd_evt.type'] ?? Number.NaN;

const plus = (index: number, step: number): number => (index + step) >>> 0;

/** As the header has it: (idx) % XENSND_IN_RING_LEN, with a u32 idx. */
const slotOf = (index: number): number => 64 + (index % 63) * 64;

/** The event that golden.c makes of an id. */
const eventOf = (id: number): CurPosEvent => ({
  id: id & 0xffff,
  position: BigInt(id & 0xffff) * 0x1_0000_0001n,
});

/** Both roles on one page. */
class Pair {
  readonly memory = new ArrayMemory();
  readonly consumer: EventConsumer;
  readonly producer: EventProducer;
  /** Called before each access of either role. */
  onAccess: ((access: string) => void) | undefined;

  constructor(start = 0) {
    const shared = traced(this.memory, (access) => this.onAccess?.(access));
    this.consumer = new EventConsumer(shared, start);
    this.producer = new EventProducer(shared);
  }

  put(id: number): boolean {
    return this.producer.put(encodeCurPos(eventOf(id)));
  }

  /** The next event, or what there is instead. */
  take(): CurPosEvent | 'none' | 'not-landed' {
    const target = new Uint8Array(EVENT_SIZE);
    const taken = this.consumer.take(target);
    return taken === 'event' ? decodeEvent(target) : taken;
  }
}

describe("the header's page", () => {
  it('has the same slots', () => {
    expect(EVENT_RING_SIZE).toBe(golden.constants['XENSND_IN_RING_LEN']);
    expect(EVENT_SIZE).toBe(golden.sizes['xensnd_evt']);
  });

  it.each(golden.eventSlots)('has event %i at byte %i', (index, offset) => {
    const pair = new Pair(index);
    expect(pair.put(0x4242)).toBe(true);
    const bytesThere = pair.memory.bytes.subarray(offset, offset + EVENT_SIZE);
    expect(toHex(bytesThere)).toBe(toHex(encodeCurPos(eventOf(0x4242))));
    expect(pair.take()).toEqual(eventOf(0x4242));
    expect(slotOf(index)).toBe(offset);
  });

  it.each(Object.entries(golden.eventPages))('is written byte by byte alike: %s', (_, script) => {
    const memory = new ArrayMemory();
    memory.store32(IN_CONS, script.start);
    memory.store32(IN_PROD, script.start);
    const producer = new EventProducer(memory);
    let id = 0xfffe;
    for (const action of script.program) {
      if (action === 'p') expect(producer.put(encodeCurPos(eventOf(id++)))).toBe(true);
      else memory.store32(IN_CONS, plus(memory.load32(IN_CONS), 1));
    }
    expect(toHex(memory.bytes)).toBe(toHex(pageFromHex(script.page)));
  });

  it.each(Object.entries(golden.eventPages))('is read to its end: %s', (_, script) => {
    const memory = new ArrayMemory();
    const consumer = new EventConsumer(memory, script.in_cons);
    memory.bytes.set(pageFromHex(script.page));
    const target = new Uint8Array(EVENT_SIZE);
    const consumed = script.program.split('c').length - 1;
    const produced = script.program.length - consumed;
    for (let index = consumed; index < produced; index++) {
      expect(consumer.take(target)).toBe('event');
      expect(decodeEvent(target)).toEqual(eventOf(0xfffe + index));
    }
    expect(consumer.take(target)).toBe('none');
    expect(memory.load32(IN_CONS)).toBe(script.in_prod);
  });
});

describe('a role', () => {
  it('takes its first index modulo 2^32, and starts at 0 without one', () => {
    expect(new Pair(2 ** 32 + 5).memory.bytes).toEqual(new Pair(5).memory.bytes);
    expect(new Pair(-1).memory.bytes).toEqual(new Pair(0xffff_ffff).memory.bytes);
    const memory = new ArrayMemory();
    expect(new EventConsumer(memory).take(new Uint8Array(EVENT_SIZE))).toBe('none');
    expect(memory.bytes).toEqual(new Pair(0).memory.bytes);
  });

  it('starts with every slot marked as not landed, and nothing else in them', () => {
    const { memory } = new Pair(7);
    const slots = memory.bytes.subarray(64);
    expect([...slots.keys()].filter((offset) => slots[offset] !== 0)).toEqual(
      Array.from({ length: 63 }, (_, slot) => slot * EVENT_SIZE + TYPE),
    );
    expect([...new Set(slots)]).toEqual([0, 0xff]);
  });

  it('that produces continues wherever in_prod stands', () => {
    const pair = new Pair(0xffff_fffe);
    pair.put(1);
    const successor = new EventProducer(pair.memory);
    successor.put(encodeCurPos(eventOf(2)));
    expect([pair.take(), pair.take(), pair.take()]).toEqual([eventOf(1), eventOf(2), 'none']);
  });

  it('orders its accesses: the event, then its index; the event, then its mark, then the freed slot', () => {
    const pair = new Pair(0);
    const accesses: string[] = [];
    pair.onAccess = (access) => accesses.push(access);
    pair.put(1);
    expect(accesses.splice(0)).toEqual([`load ${IN_CONS}`, 'in 64', `store ${IN_PROD}`]);
    pair.take();
    expect(accesses.splice(0)).toEqual([`load ${IN_PROD}`, 'out 64', `in ${64 + TYPE}`, `store ${IN_CONS}`]);
  });

  it('leaves the target and the page as they were where there is no event', () => {
    const pair = new Pair(9);
    const before = toHex(pair.memory.bytes);
    const target = new Uint8Array(EVENT_SIZE).fill(0xab);
    expect(pair.consumer.take(target)).toBe('none');
    expect(target.every((byte) => byte === 0xab)).toBe(true);
    expect(toHex(pair.memory.bytes)).toBe(before);
  });
});

describe('a full page', () => {
  it.each([0, 5, 0x7fff_fff0, 0xffff_ffc1 - 63, 4])('from %i holds 63 events and drops the next', (start) => {
    const pair = new Pair(start);
    for (let id = 0; id < 63; id++) expect(pair.put(id)).toBe(true);
    const full = toHex(pair.memory.bytes);
    expect(pair.put(63)).toBe(false);
    expect(toHex(pair.memory.bytes)).toBe(full);
    expect(pair.take()).toEqual(eventOf(0));
    expect(pair.put(64)).toBe(true);
    for (let id = 1; id < 63; id++) expect(pair.take()).toEqual(eventOf(id));
    expect(pair.take()).toEqual(eventOf(64));
    expect(pair.take()).toBe('none');
  });

  it('holds less across 2^32, where four slots come again after four events, and loses none it took', () => {
    const pair = new Pair(0xffff_fffc);
    expect([0, 1, 2, 3, 4].map((id) => pair.put(id))).toEqual([true, true, true, true, false]);
    expect(pair.take()).toEqual(eventOf(0));
    expect(pair.put(5)).toBe(true);
    expect(pair.put(6)).toBe(false);
    const rest = [pair.take(), pair.take(), pair.take(), pair.take(), pair.take()];
    expect(rest).toEqual([eventOf(1), eventOf(2), eventOf(3), eventOf(5), 'none']);
  });
});

describe('both roles against a model', () => {
  const bursts = fc.array(fc.tuple(fc.constantFrom('put', 'take'), fc.constantFrom(1, 1, 2, 3, 5, 20, 64)), {
    maxLength: 50,
    size: 'max',
  });

  it('every event taken was put, in order; one is dropped only where an unread one is in its slot', () => {
    fc.assert(
      fc.property(startIndex, bursts, (start, sequence) => {
        const pair = new Pair(start);
        const waiting: { index: number; id: number }[] = [];
        let index = start;
        let id = 0;
        for (const action of sequence.flatMap(([name, times]) => Array<string>(times).fill(name))) {
          if (action === 'take') {
            const event = waiting.shift();
            expect(pair.take()).toEqual(event === undefined ? 'none' : eventOf(event.id));
            continue;
          }
          id++;
          const inTheWay = waiting.some((event) => slotOf(event.index) === slotOf(index));
          expect(pair.put(id)).toBe(!inTheWay);
          if (inTheWay) continue;
          waiting.push({ index, id });
          index = plus(index, 1);
        }
        expect(pair.memory.load32(IN_PROD)).toBe(index);
        expect(pair.memory.load32(IN_CONS)).toBe(plus(index, -waiting.length));
      }),
      { numRuns: 100 },
    );
  });
});

describe('an event whose index is seen before its entry', () => {
  /** What a backend without a barrier seems to do: the index moves, the entry comes later. */
  function announce(pair: Pair, index: number): () => void {
    pair.memory.store32(IN_PROD, plus(index, 1));
    return () => pair.memory.copyIn(slotOf(index), encodeCurPos(eventOf(index)));
  }

  const starts = [0, 62, 0x7fff_ffff, 0xffff_fffc, 0xffff_ffff];

  it.each(starts)('is not landed until it lands: start %i', (start) => {
    const pair = new Pair(start);
    const land = announce(pair, start);
    expect([pair.take(), pair.take()]).toEqual(['not-landed', 'not-landed']);
    expect(pair.memory.load32(IN_CONS)).toBe(start);
    land();
    expect(pair.take()).toEqual(eventOf(start));
    expect(pair.memory.load32(IN_CONS)).toBe(plus(start, 1));
    expect(pair.take()).toBe('none');
  });

  it.each(starts)('is recognised in a slot that was used before: start %i', (start) => {
    const pair = new Pair(start);
    let index = start;
    for (let count = 0; count < 200; count++) {
      const land = announce(pair, index);
      expect(pair.take()).toBe('not-landed');
      land();
      expect(pair.take()).toEqual(eventOf(index));
      index = plus(index, 1);
    }
  });

  it.each(starts)('is given up by skipping it, and the next one is read: start %i', (start) => {
    const pair = new Pair(start);
    announce(pair, start);
    const land = announce(pair, plus(start, 1));
    land();
    expect(pair.consumer.announced).toBe(2);
    expect(pair.take()).toBe('not-landed');
    pair.consumer.skip();
    expect(pair.consumer.announced).toBe(1);
    expect(pair.memory.load32(IN_CONS)).toBe(plus(start, 1));
    expect(pair.memory.bytes[slotOf(start) + TYPE]).toBe(0xff);
    expect(pair.take()).toEqual(eventOf(plus(start, 1)));
    expect(pair.take()).toBe('none');
  });

  it('is what a backend leaves that writes over unread slots at 2^32: skipping gets past it', () => {
    const pair = new Pair(0xffff_fffc);
    for (let count = 0; count < 6; count++) announce(pair, plus(0xffff_fffc, count))();
    const found = [pair.take(), pair.take(), pair.take(), pair.take()];
    expect(found).toEqual([eventOf(0), eventOf(1), eventOf(0xffff_fffe), eventOf(0xffff_ffff)]);
    for (let count = 0; count < 2; count++) {
      expect(pair.take()).toBe('not-landed');
      pair.consumer.skip();
    }
    expect(pair.take()).toBe('none');
  });
});

describe("a peer's corrupt index", () => {
  const nearOrFar = fc.oneof(fc.integer({ min: -130, max: 130 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));

  it('in_prod: no more events than slots are ever believed', () => {
    fc.assert(
      fc.property(startIndex, nearOrFar, (start, offset) => {
        const pair = new Pair(start);
        pair.memory.bytes.fill(0, 64);
        pair.memory.store32(IN_PROD, plus(start, offset));
        const waiting = plus(offset, 0);
        if (waiting > 63) {
          const before = toHex(pair.memory.bytes);
          expectCode(() => pair.take(), 'ERR_VSND_PROTOCOL');
          expect(toHex(pair.memory.bytes)).toBe(before);
        } else {
          expect(pair.take()).toEqual(waiting === 0 ? 'none' : { id: 0, position: 0n });
        }
      }),
      { numRuns: 300 },
    );
  });

  it('in_cons: it lies within the events produced, or the producer writes nothing', () => {
    fc.assert(
      fc.property(startIndex, nearOrFar, (start, offset) => {
        const pair = new Pair(start);
        pair.memory.store32(IN_CONS, plus(start, -offset));
        const waiting = plus(offset, 0);
        const before = toHex(pair.memory.bytes);
        if (waiting > 63) expectCode(() => pair.put(1), 'ERR_VSND_PROTOCOL');
        else expect(pair.put(1)).toBe(waiting < (start < 4 ? 4 : 63));
        if (waiting >= 63) expect(toHex(pair.memory.bytes)).toBe(before);
      }),
      { numRuns: 300 },
    );
  });

  it.each([0, 5, 0x8000_0000, 0xffff_ffff])(
    'is one from 64 events on, in both directions: start %i',
    (start) => {
      const pair = new Pair(start);
      pair.memory.store32(IN_CONS, plus(start, -64));
      expectCode(() => pair.put(1), 'ERR_VSND_PROTOCOL');
      pair.memory.store32(IN_CONS, plus(start, -63));
      expect(pair.put(1)).toBe(false);
      pair.memory.store32(IN_PROD, plus(start, 64));
      expectCode(() => pair.take(), 'ERR_VSND_PROTOCOL');
      pair.memory.store32(IN_PROD, plus(start, 63));
      expect(pair.take()).toBe('not-landed');
    },
  );

  it('is named in words', () => {
    const pair = new Pair(0xffff_ffff);
    pair.memory.store32(IN_PROD, 63);
    expect(() => pair.take()).toThrow('announces 64 events in a ring of 63');
    pair.memory.store32(IN_CONS, 0);
    expect(() => pair.put(1)).toThrow('leaves 4294967295 events in a ring of 63');
  });

  it('and any other bytes of the page give events or a protocol error, in either direction', () => {
    fc.assert(
      fc.property(u32, data(4096), fc.nat({ max: 70 }), (start, bytes, ahead) => {
        const pair = new Pair(start);
        pair.memory.bytes.set(bytes);
        pair.memory.store32(IN_CONS, start);
        pair.memory.store32(IN_PROD, plus(start, ahead));
        const target = new Uint8Array(EVENT_SIZE);
        let consumed = 0;
        for (; consumed <= 63; consumed++) {
          const taken = valueOrProtocolError(() => pair.consumer.take(target));
          if (taken === undefined || taken === 'none') break;
          if (taken === 'not-landed') pair.consumer.skip();
        }
        expect(consumed).toBe(ahead > 63 ? 0 : ahead);
        pair.memory.bytes.set(bytes);
        const put = valueOrProtocolError(() => pair.put(1));
        expect([true, false, undefined]).toContain(put);
      }),
    );
  });
});

describe('an entry that lands after it was skipped', () => {
  it('is not taken for the next event in its slot', () => {
    const pair = new Pair();
    const { memory, consumer } = pair;
    const land = (id: number) => memory.copyIn(slotOf(id), encodeCurPos(eventOf(id)));
    memory.store32(IN_PROD, 1);
    expect(pair.take()).toBe('not-landed');
    consumer.skip();
    land(0); // too late
    for (let id = 1; id < EVENT_RING_SIZE; id++) {
      land(id);
      memory.store32(IN_PROD, id + 1);
      expect(pair.take()).toEqual(eventOf(id));
    }
    memory.store32(IN_PROD, EVENT_RING_SIZE + 1);
    expect(pair.take()).toBe('not-landed');
    land(EVENT_RING_SIZE);
    expect(pair.take()).toEqual(eventOf(EVENT_RING_SIZE));
  });
});
