import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackRing, FrontRing, RING_ENTRY_SIZE, RING_SIZE } from '../../src/wire/ring.ts';
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  SndifOp,
} from '../../src/wire/sndif.ts';
import { type GoldenRingStep, golden, pageFromHex, toHex } from '../golden/golden.ts';
import { ArrayMemory, traced } from './memory.ts';
import { bytes as data, expectCode, startIndex, u32, valueOrProtocolError } from './support.ts';

const REQ_PROD = golden.offsets['xen_sndif_sring.req_prod'] ?? Number.NaN;
const REQ_EVENT = golden.offsets['xen_sndif_sring.req_event'] ?? Number.NaN;
const RSP_PROD = golden.offsets['xen_sndif_sring.rsp_prod'] ?? Number.NaN;
const RSP_EVENT = golden.offsets['xen_sndif_sring.rsp_event'] ?? Number.NaN;
const ENTRIES = golden.offsets['xen_sndif_sring.ring'] ?? Number.NaN;

const plus = (index: number, step: number): number => (index + step) >>> 0;

/** The request and the response that golden.c puts for an id. */
const requestOf = (id: number): Uint8Array =>
  encodeRequest(id, { op: 'write', offset: Math.imul(id, 0x01010101) >>> 0, length: ~id >>> 0 });
const responseOf = (id: number): Uint8Array =>
  encodeResponse({ id, operation: SndifOp.write, status: -(id & 0xff) });

/** Both roles on one page. */
class Pair {
  readonly memory = new ArrayMemory();
  readonly front: FrontRing;
  readonly back: BackRing;
  /** Called before each access of either role. */
  onAccess: ((access: string) => void) | undefined;

  constructor(start = 0) {
    const shared = traced(this.memory, (access) => this.onAccess?.(access));
    this.front = new FrontRing(shared, start);
    this.back = new BackRing(shared, start);
  }

  /** The id of the next request, or of the next response; undefined where there is none. */
  takeRequest(): number | undefined {
    const entry = new Uint8Array(RING_ENTRY_SIZE);
    return this.back.take(entry) ? decodeRequest(entry).id : undefined;
  }

  takeResponse(): number | undefined {
    const entry = new Uint8Array(RING_ENTRY_SIZE);
    return this.front.take(entry) ? decodeResponse(entry).id : undefined;
  }

  putRequests(...ids: number[]): boolean {
    for (const id of ids) this.front.put(requestOf(id));
    return this.front.publish();
  }

  putResponses(...ids: number[]): boolean {
    for (const id of ids) this.back.put(responseOf(id));
    return this.back.publish();
  }
}

const sequence = (count: number): number[] => [...Array(count).keys()];

describe("the header's ring", () => {
  it('has the same size and the same entries', () => {
    expect(RING_SIZE).toBe(golden.constants['__CONST_RING_SIZE']);
    expect(RING_ENTRY_SIZE).toBe(golden.sizes['xen_sndif_sring_entry']);
  });

  /** Performs one step of the macros' and gives what it gave: the id, or 0 or 1, or -1 for nothing. */
  function replay(pair: Pair, operation: GoldenRingStep[0], value: number): number {
    switch (operation) {
      case 'front.put':
        pair.front.put(requestOf(value));
        return value;
      case 'front.publish':
        return Number(pair.front.publish());
      case 'front.take':
        return pair.takeResponse() ?? -1;
      case 'front.rearm':
        return Number(pair.front.rearm());
      case 'back.put':
        pair.back.put(responseOf(value));
        return value;
      case 'back.publish':
        return Number(pair.back.publish());
      case 'back.take':
        return pair.takeRequest() ?? -1;
      case 'back.rearm':
        return Number(pair.back.rearm());
    }
  }

  it.each(Object.entries(golden.rings))('is matched step by step and byte by byte: %s', (_, script) => {
    const pair = new Pair(script.start);
    const { memory, front } = pair;
    expect(toHex(memory.bytes)).toBe(toHex(pageFromHex(script.fresh)));
    for (const [number, [operation, value, ...behind]] of script.steps.entries()) {
      const result = replay(pair, operation, value);
      const indexes = [REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT].map((offset) => memory.load32(offset));
      expect([number, operation, result, ...indexes, front.free]).toEqual([
        number,
        operation,
        value,
        ...behind,
      ]);
    }
    expect(toHex(memory.bytes)).toBe(toHex(pageFromHex(script.page)));
  });

  it('decides on both sides of every kind of notification in those scripts', () => {
    const seen = new Set(
      Object.values(golden.rings).flatMap(({ steps }) =>
        steps.map(([operation, value]) => `${operation} ${value}`),
      ),
    );
    for (const operation of ['front.publish', 'front.rearm', 'back.publish', 'back.rearm']) {
      expect([seen.has(`${operation} 0`), seen.has(`${operation} 1`)]).toEqual([true, true]);
    }
  });

  it.each(golden.overflows)(
    'overflows alike: start %i, req_prod ahead by %i: %i',
    (start, ahead, overflows) => {
      const pair = new Pair(start);
      pair.memory.store32(REQ_PROD, plus(start, ahead));
      if (overflows === 1) expectCode(() => pair.takeRequest(), 'ERR_VSND_PROTOCOL');
      else expect(pair.takeRequest()).toBe(ahead === 0 ? undefined : 0);
    },
  );

  it.each(golden.overflows)(
    'overflows alike: start %i, rsp_prod ahead by %i',
    (start, ahead, _, overflows) => {
      const pair = new Pair(start);
      pair.putRequests(...sequence(RING_SIZE));
      pair.memory.store32(RSP_PROD, plus(start, ahead));
      if (overflows === 1) expectCode(() => pair.takeResponse(), 'ERR_VSND_PROTOCOL');
      else expect(pair.takeResponse()).toBe(ahead === 0 ? undefined : 0);
    },
  );
});

describe('a role', () => {
  it('takes its first index modulo 2^32, and starts at 0 without one', () => {
    expect(new Pair(2 ** 32 + 5).memory.bytes).toEqual(new Pair(5).memory.bytes);
    expect(new Pair(-1).memory.bytes).toEqual(new Pair(0xffff_ffff).memory.bytes);
    const beyond = new Pair(2 ** 32 + 5);
    expect(beyond.takeRequest()).toBeUndefined();
    beyond.putRequests(8);
    expect([beyond.takeRequest(), beyond.takeRequest()]).toEqual([8, undefined]);
    const memory = new ArrayMemory();
    const front = new FrontRing(memory);
    expect(memory.bytes).toEqual(new Pair(0).memory.bytes);
    front.put(requestOf(9));
    front.publish();
    expect(new BackRing(memory).take(new Uint8Array(RING_ENTRY_SIZE))).toBe(true);
  });

  it('shows nothing to the peer before it publishes', () => {
    const pair = new Pair(0xffff_fffe);
    pair.front.put(requestOf(1));
    expect(pair.takeRequest()).toBeUndefined();
    pair.front.publish();
    expect(pair.takeRequest()).toBe(1);
    pair.back.put(responseOf(1));
    expect(pair.takeResponse()).toBeUndefined();
    pair.back.publish();
    expect(pair.takeResponse()).toBe(1);
  });

  it('leaves the target as it was where there is nothing to take', () => {
    const pair = new Pair(3);
    const target = new Uint8Array(RING_ENTRY_SIZE).fill(0xab);
    expect(pair.front.take(target)).toBe(false);
    expect(pair.back.take(target)).toBe(false);
    expect(target.every((byte) => byte === 0xab)).toBe(true);
  });

  it('refuses a request on a full ring until a response has been taken', () => {
    const pair = new Pair(0xffff_fff0);
    pair.putRequests(...sequence(RING_SIZE));
    expect(pair.front.free).toBe(0);
    const before = toHex(pair.memory.bytes);
    expectCode(() => pair.front.put(requestOf(99)), 'ERR_VSND_INVALID_STATE');
    expect(toHex(pair.memory.bytes)).toBe(before);
    pair.takeRequest();
    pair.putResponses(0);
    expectCode(() => pair.front.put(requestOf(99)), 'ERR_VSND_INVALID_STATE');
    expect(pair.takeResponse()).toBe(0);
    pair.front.put(requestOf(99));
  });

  it('refuses a response without a request', () => {
    const pair = new Pair(0xffff_ffff);
    expectCode(() => pair.back.put(responseOf(0)), 'ERR_VSND_INVALID_STATE');
    pair.putRequests(5, 6);
    expectCode(() => pair.back.put(responseOf(5)), 'ERR_VSND_INVALID_STATE');
    pair.takeRequest();
    pair.back.put(responseOf(5));
    expectCode(() => pair.back.put(responseOf(6)), 'ERR_VSND_INVALID_STATE');
  });
});

describe('the order of accesses', () => {
  function trace(act: (pair: Pair) => void): string[] {
    const accesses: string[] = [];
    const pair = new Pair();
    pair.onAccess = (access) => accesses.push(access);
    act(pair);
    return accesses;
  }

  it('of a publication: the entries, the index that announces them, then what the peer waits for', () => {
    expect(trace((pair) => pair.putRequests(1, 2))).toEqual([
      `in ${ENTRIES}`,
      `in ${ENTRIES + RING_ENTRY_SIZE}`,
      `store ${REQ_PROD}`,
      `load ${REQ_EVENT}`,
    ]);
  });

  it('of taking: the index once, then the entry once', () => {
    const accesses = trace((pair) => {
      pair.putRequests(1);
      pair.takeRequest();
      pair.putResponses(1);
      pair.takeResponse();
    });
    expect(accesses.slice(3)).toEqual([
      `load ${REQ_PROD}`,
      `out ${ENTRIES}`,
      `in ${ENTRIES}`,
      `store ${RSP_PROD}`,
      `load ${RSP_EVENT}`,
      `load ${RSP_PROD}`,
      `out ${ENTRIES}`,
    ]);
  });

  it('of falling asleep: look, ask, look again', () => {
    const asleep = (event: number, prod: number): string[] => [
      `load ${prod}`,
      `store ${event}`,
      `load ${prod}`,
    ];
    expect(trace(({ front }) => front.rearm())).toEqual(asleep(RSP_EVENT, RSP_PROD));
    expect(trace(({ back }) => back.rearm())).toEqual(asleep(REQ_EVENT, REQ_PROD));
  });
});

describe('no wake-up is lost when the peer acts between any two accesses', () => {
  interface Interleaving {
    readonly prepare: (pair: Pair) => void;
    /** What one end does; true: it notifies, or stays awake. */
    readonly main: (pair: Pair) => boolean;
    /** What the other end does in between, in the same terms. */
    readonly peer: (pair: Pair) => boolean;
  }

  /** Request 1 has passed: neither end asks for a notification, response 1 is due. */
  const bothAwake = (pair: Pair): void => {
    pair.putRequests(1);
    pair.takeRequest();
  };

  const interleavings: Record<string, Interleaving> = {
    'the backend falls asleep': {
      prepare: bothAwake,
      main: ({ back }) => back.rearm(),
      peer: (pair) => pair.putRequests(2),
    },
    'the frontend falls asleep': {
      prepare: bothAwake,
      main: ({ front }) => front.rearm(),
      peer: (pair) => pair.putResponses(1),
    },
    'the frontend publishes': {
      prepare: (pair) => {
        bothAwake(pair);
        pair.front.put(requestOf(2));
      },
      main: ({ front }) => front.publish(),
      peer: ({ back }) => back.rearm(),
    },
    'the backend publishes': {
      prepare: (pair) => {
        pair.putRequests(1, 2);
        pair.takeRequest();
        pair.takeRequest();
        pair.putResponses(1);
        pair.takeResponse();
        pair.back.put(responseOf(2));
      },
      main: ({ back }) => back.publish(),
      peer: ({ front }) => front.rearm(),
    },
  };

  const starts = [0, 0x7fff_ffff, 0xffff_fffd, 0xffff_fffe, 0xffff_ffff];
  const cases = Object.entries(interleavings).flatMap(([what, how]) =>
    starts.map((start) => ({ what, start, how })),
  );

  it.each(cases)('$what, start $start', ({ start, how: { prepare, main, peer } }) => {
    for (let at = 0; ; at++) {
      const pair = new Pair(start);
      prepare(pair);
      let countdown = at;
      let peerResult: boolean | undefined;
      pair.onAccess = () => {
        if (countdown-- > 0) return;
        pair.onAccess = undefined;
        peerResult = peer(pair);
      };
      const mainResult = main(pair);
      if (peerResult === undefined) {
        expect(at).toBeGreaterThanOrEqual(2); // the accesses of `main`: the peer acted before each
        return;
      }
      expect(mainResult || peerResult, `the peer acts before access ${at}`).toBe(true);
    }
  });
});

describe('both roles against a model', () => {
  /** What a side has put, by where it is: not yet published, published, taken. */
  class Model {
    unpublishedRequests: number[] = [];
    requests: number[] = [];
    taken: number[] = [];
    unpublishedResponses: number[] = [];
    responses: number[] = [];
    /** A fresh ring asks for the first entry of each kind. */
    backAsks = true;
    frontAsks = true;
    next = 0;

    get free(): number {
      const { unpublishedRequests, requests, taken, unpublishedResponses, responses } = this;
      const all = [unpublishedRequests, requests, taken, unpublishedResponses, responses];
      return RING_SIZE - all.reduce((sum, { length }) => sum + length, 0);
    }
  }

  const operations = {
    putRequest: ({ front }: Pair, model: Model) => {
      const id = model.next & 0xffff;
      if (model.free === 0) {
        expectCode(() => front.put(requestOf(id)), 'ERR_VSND_INVALID_STATE');
        return;
      }
      front.put(requestOf(id));
      model.unpublishedRequests.push(id);
      model.next++;
    },
    publishRequests: ({ front }: Pair, model: Model) => {
      const some = model.unpublishedRequests.length > 0;
      expect(front.publish(), 'the frontend notifies').toBe(some && model.backAsks);
      if (some) model.backAsks = false;
      model.requests.push(...model.unpublishedRequests.splice(0));
    },
    takeRequest: (pair: Pair, model: Model) => {
      const id = model.requests.shift();
      expect(pair.takeRequest()).toBe(id);
      if (id !== undefined) model.taken.push(id);
    },
    rearmBack: ({ back }: Pair, model: Model) => {
      expect(back.rearm(), 'a request is there').toBe(model.requests.length > 0);
      if (model.requests.length === 0) model.backAsks = true;
    },
    putResponse: ({ back }: Pair, model: Model) => {
      const id = model.taken.shift();
      if (id === undefined) {
        expectCode(() => back.put(responseOf(0)), 'ERR_VSND_INVALID_STATE');
        return;
      }
      back.put(responseOf(id));
      model.unpublishedResponses.push(id);
    },
    publishResponses: ({ back }: Pair, model: Model) => {
      const some = model.unpublishedResponses.length > 0;
      expect(back.publish(), 'the backend notifies').toBe(some && model.frontAsks);
      if (some) model.frontAsks = false;
      model.responses.push(...model.unpublishedResponses.splice(0));
    },
    takeResponse: (pair: Pair, model: Model) => {
      expect(pair.takeResponse()).toBe(model.responses.shift());
    },
    rearmFront: ({ front }: Pair, model: Model) => {
      expect(front.rearm(), 'a response is there').toBe(model.responses.length > 0);
      if (model.responses.length === 0) model.frontAsks = true;
    },
  };

  const names = Object.keys(operations) as (keyof typeof operations)[];
  const bursts = fc.array(fc.tuple(fc.constantFrom(...names), fc.constantFrom(1, 1, 1, 2, 3, 8, RING_SIZE)), {
    maxLength: 80,
    size: 'max',
  });

  it('each entry arrives once, in order, and a notification comes exactly when the other end asks', () => {
    fc.assert(
      fc.property(startIndex, bursts, (start, sequenceOfBursts) => {
        const pair = new Pair(start);
        const model = new Model();
        for (const [name, times] of sequenceOfBursts) {
          for (let time = 0; time < times; time++) operations[name](pair, model);
          expect(pair.front.free).toBe(model.free);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('two ends that run only when notified', () => {
  /** Pauses after each step; gives true where it can do nothing but wait for a notification. */
  type End = Generator<boolean, void, undefined>;

  class World {
    readonly pair: Pair;
    readonly asked: number[] = [];
    readonly answered: number[] = [];
    frontNotified = false;
    backNotified = false;
    notifications = 0;

    constructor(start: number) {
      this.pair = new Pair(start);
    }

    notifyBack(notify: boolean): void {
      if (notify) this.notifications++;
      this.backNotified ||= notify;
    }

    notifyFront(notify: boolean): void {
      if (notify) this.notifications++;
      this.frontNotified ||= notify;
    }

    /** Puts `total` requests, up to `batch` of them before it publishes. */
    *submitter(total: number, batch: number): End {
      const { front } = this.pair;
      while (this.asked.length < total) {
        let put = 0;
        for (; put < batch && front.free > 0 && this.asked.length < total; put++) {
          front.put(requestOf(this.asked.length));
          this.asked.push(this.asked.length);
          yield false;
        }
        this.notifyBack(front.publish());
        yield put === 0;
      }
    }

    *backend(batch: number): End {
      const { pair } = this;
      for (;;) {
        for (let id = pair.takeRequest(), put = 1; id !== undefined; id = pair.takeRequest(), put++) {
          yield false;
          pair.back.put(responseOf(id));
          if (put % batch === 0) this.notifyFront(pair.back.publish());
          yield false;
        }
        this.notifyFront(pair.back.publish());
        yield false;
        if (pair.back.rearm()) continue;
        while (!this.backNotified) yield true;
        this.backNotified = false;
      }
    }

    *receiver(): End {
      const { pair } = this;
      for (;;) {
        for (let id = pair.takeResponse(); id !== undefined; id = pair.takeResponse()) {
          this.answered.push(id);
          yield false;
        }
        yield false;
        if (pair.front.rearm()) continue;
        while (!this.frontNotified) yield true;
        this.frontNotified = false;
      }
    }
  }

  it('answer every request once, in order, however their steps interleave', () => {
    const schedule = fc.array(fc.nat({ max: 2 }), { maxLength: 600, size: 'max' });
    const batch = fc.constantFrom(1, 2, 5, RING_SIZE);
    fc.assert(
      fc.property(
        startIndex,
        fc.nat({ max: 150 }),
        batch,
        batch,
        schedule,
        (start, total, ask, answer, order) => {
          const world = new World(start);
          const ends = [world.submitter(total, ask), world.backend(answer), world.receiver()];
          for (const choice of order) ends[choice]?.next();
          // Then in turn, until all of them wait: without a notification on its way they wait for ever.
          let idle = false;
          for (let round = 0; !idle && round < 5_000; round++) {
            idle = ends.map((end) => end.next()).every(({ done, value }) => done || value);
          }
          expect(idle, 'all of them fall asleep').toBe(true);
          expect(world.answered).toEqual(sequence(total));
          expect(world.notifications).toBeLessThanOrEqual(2 * total);
          expect(world.pair.front.free).toBe(RING_SIZE);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("a peer's corrupt index", () => {
  const counts = fc.tuple(fc.nat({ max: RING_SIZE }), fc.nat({ max: RING_SIZE }), fc.nat({ max: RING_SIZE }));

  /** `published` requests, `taken` of them by the backend, `answered` of those and `read` by the frontend. */
  function prepare(start: number, published: number, taken: number, answered: number, read: number): Pair {
    const pair = new Pair(start);
    pair.putRequests(...sequence(published));
    for (let id = 0; id < taken; id++) pair.takeRequest();
    pair.putResponses(...sequence(answered));
    for (let id = 0; id < read; id++) pair.takeResponse();
    return pair;
  }

  const nearOrFar = fc.oneof(fc.integer({ min: -70, max: 70 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));

  it('rsp_prod: no more responses than requests are ever believed', () => {
    fc.assert(
      fc.property(startIndex, counts, nearOrFar, (start, [first, second, third], offset) => {
        const [read = 0, answered = 0, published = 0] = [first, second, third].sort((a, b) => a - b);
        const pair = prepare(start, published, answered, answered, read);
        pair.memory.store32(RSP_PROD, plus(start, offset));
        const announced = plus(offset, 0);
        const before = toHex(pair.memory.bytes);
        const target = new Uint8Array(RING_ENTRY_SIZE).fill(0xab);
        if (announced < read || announced > published) {
          expectCode(() => pair.front.take(target), 'ERR_VSND_PROTOCOL');
          expect(target.every((byte) => byte === 0xab)).toBe(true);
          expect(pair.front.rearm()).toBe(true); // so nobody sleeps over it
        } else {
          expect(pair.front.take(target)).toBe(announced > read);
        }
        expect(toHex(pair.memory.bytes)).toBe(before);
      }),
      { numRuns: 300 },
    );
  });

  it('req_prod: no more requests than the ring holds, and none taken back, are ever believed', () => {
    fc.assert(
      fc.property(startIndex, counts, nearOrFar, (start, [first, second, third], offset) => {
        const [answered = 0, taken = 0, published = 0] = [first, second, third].sort((a, b) => a - b);
        const pair = prepare(start, published, taken, answered, 0);
        pair.memory.store32(REQ_PROD, plus(start, offset));
        const announced = plus(offset, 0);
        const before = toHex(pair.memory.bytes);
        const target = new Uint8Array(RING_ENTRY_SIZE).fill(0xab);
        if (announced < taken || announced > answered + RING_SIZE) {
          expectCode(() => pair.back.announced, 'ERR_VSND_PROTOCOL');
          expectCode(() => pair.back.take(target), 'ERR_VSND_PROTOCOL');
          expect(target.every((byte) => byte === 0xab)).toBe(true);
          expect(pair.back.rearm()).toBe(true); // so nobody sleeps over it
        } else {
          expect(pair.back.announced).toBe(announced - taken);
          expect(pair.back.take(target)).toBe(announced > taken);
        }
        expect(toHex(pair.memory.bytes)).toBe(before);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    { what: 'beyond the ring', index: 33, says: /33 requests/ },
    { what: 'behind the requests taken', index: 1, says: /fell behind/ },
    { what: 'behind the responses', index: 0xffff_ffff, says: /4294967294 requests/ },
  ])('req_prod $what is named in words', ({ index, says }) => {
    const pair = prepare(0, 3, 3, index === 0xffff_ffff ? 1 : 0, 0);
    pair.memory.store32(REQ_PROD, index);
    expect(() => pair.takeRequest()).toThrow(says);
  });

  it('rsp_prod beyond the requests is named in words', () => {
    const pair = prepare(0xffff_ffff, 2, 2, 0, 0);
    pair.memory.store32(RSP_PROD, 2);
    expect(() => pair.takeResponse()).toThrow('3 responses to 2 requests');
  });

  it('counts requests that are put but not published as not sent', () => {
    const pair = new Pair(0);
    pair.front.put(requestOf(1));
    pair.memory.store32(RSP_PROD, 1);
    expectCode(() => pair.takeResponse(), 'ERR_VSND_PROTOCOL');
  });

  it('does not move what this end has published: a producer never reads its own index back', () => {
    const pair = new Pair(0xffff_fffe);
    pair.putRequests(0);
    pair.memory.store32(REQ_PROD, 0x1234_5678);
    pair.putRequests(1);
    expect(pair.memory.load32(REQ_PROD)).toBe(0);
    pair.takeRequest();
    pair.putResponses(0);
    pair.memory.store32(RSP_PROD, 0x1234_5678);
    pair.takeRequest();
    pair.putResponses(1);
    expect(pair.memory.load32(RSP_PROD)).toBe(0);
  });

  it('and any other bytes of the page give entries or a protocol error, in either direction', () => {
    fc.assert(
      fc.property(startIndex, data(4096), u32, fc.nat({ max: 40 }), (start, bytes, event, ahead) => {
        const pair = new Pair(start);
        pair.putRequests(...sequence(RING_SIZE));
        pair.memory.bytes.set(bytes);
        pair.memory.store32(REQ_PROD, plus(start, ahead));
        pair.memory.store32(RSP_PROD, plus(start, ahead));
        pair.memory.store32(RSP_EVENT, event);
        const target = new Uint8Array(RING_ENTRY_SIZE);
        let taken = 0;
        while (valueOrProtocolError(() => pair.back.take(target))) taken++;
        expect(taken).toBe(ahead > RING_SIZE ? 0 : ahead);
        let answers = 0;
        while (valueOrProtocolError(() => pair.front.take(target))) answers++;
        expect(answers).toBe(ahead > RING_SIZE ? 0 : ahead);
        // Nothing new to publish: no notification, whatever the event indexes say.
        expect([pair.front.publish(), pair.back.publish()]).toEqual([false, false]);
      }),
    );
  });
});

describe('a ring that is reset', () => {
  it('has no request for a backend that counts from 0, wherever it stood', () => {
    for (const requests of [0, 1, 5, 31, 32]) {
      const { front, memory } = new Pair();
      for (const id of sequence(requests)) front.put(requestOf(id));
      front.publish();
      front.reset();
      const fresh = new BackRing(memory);
      expect([fresh.take(new Uint8Array(RING_ENTRY_SIZE)), fresh.rearm()]).toEqual([false, false]);
      const indexes = [REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT].map((offset) => memory.load32(offset));
      expect(indexes).toEqual([0, 1, 0, 1]);
    }
  });

  it('has nothing that means anything for a backend that counts on', () => {
    const { front, memory } = new Pair();
    for (const id of sequence(RING_SIZE)) front.put(requestOf(id));
    front.publish();
    front.reset();
    for (const index of sequence(RING_SIZE)) {
      const at = ENTRIES + index * RING_ENTRY_SIZE;
      expect(decodeRequest(memory.bytes.subarray(at, at + RING_ENTRY_SIZE)).request).toBeUndefined();
    }
  });

  it('loses its entries before its index', () => {
    const pair = new Pair();
    pair.putRequests(1, 2);
    const accesses: string[] = [];
    pair.onAccess = (access) => accesses.push(access);
    pair.front.reset();
    const lastEntry = accesses.findLastIndex((access) => access.startsWith('in '));
    expect(lastEntry).toBeLessThan(accesses.indexOf(`store ${REQ_PROD}`));
  });
});
