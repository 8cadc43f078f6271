import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  DIRECTORY_GREFS,
  decodeDirectoryPage,
  decodeEvent,
  decodeRequest,
  decodeResponse,
  directoryPageCount,
  EVT_CUR_POS,
  encodeCurPos,
  encodeDirectory,
  encodeRequest,
  encodeResponse,
  type HwParamRanges,
  type Interval,
  newEntry,
  SndifOp,
  type SndifRequest,
  type SndifResponse,
  SndifTrigger,
  type SndifTriggerName,
} from '../../src/wire/sndif.ts';
import {
  camelCase,
  fromHex,
  type GoldenHwParam,
  type GoldenRequests,
  type GoldenResponse,
  type GoldenRw,
  golden,
  pageFromHex,
  toHex,
} from '../golden/golden.ts';
import { bytes as data, expectCode, i32, u8, u16, u32, u64, valueOrProtocolError } from './support.ts';

const goldenRanges = (from: GoldenHwParam): HwParamRanges => ({
  formats: BigInt(from.formats),
  rates: { min: from['rates.min'], max: from['rates.max'] },
  channels: { min: from['channels.min'], max: from['channels.max'] },
  bufferFrames: { min: from['buffer.min'], max: from['buffer.max'] },
  periodFrames: { min: from['period.min'], max: from['period.max'] },
});

const rw = (
  op: Extract<SndifRequest, { offset: number }>['op'],
  { offset, length }: GoldenRw,
): SndifRequest => ({
  op,
  offset,
  length,
});

const trigger = (name: SndifTriggerName): SndifRequest => ({ op: 'trigger', trigger: name });

const { OPEN, HW_PARAM_QUERY } = golden.requests;

const goldenRequests: Record<keyof GoldenRequests, SndifRequest> = {
  OPEN: {
    op: 'open',
    rate: OPEN.pcm_rate,
    format: OPEN.pcm_format,
    channels: OPEN.pcm_channels,
    bufferBytes: OPEN.buffer_sz,
    directoryGref: OPEN.gref_directory,
    periodBytes: OPEN.period_sz,
  },
  CLOSE: { op: 'close' },
  READ: rw('read', golden.requests.READ),
  WRITE: rw('write', golden.requests.WRITE),
  SET_VOLUME: rw('setVolume', golden.requests.SET_VOLUME),
  GET_VOLUME: rw('getVolume', golden.requests.GET_VOLUME),
  MUTE: rw('mute', golden.requests.MUTE),
  UNMUTE: rw('unmute', golden.requests.UNMUTE),
  TRIGGER_START: trigger('start'),
  TRIGGER_PAUSE: trigger('pause'),
  TRIGGER_STOP: trigger('stop'),
  TRIGGER_RESUME: trigger('resume'),
  HW_PARAM_QUERY: { op: 'hwParamQuery', ranges: goldenRanges(HW_PARAM_QUERY) },
};

const requestCases = (Object.keys(golden.requests) as (keyof GoldenRequests)[]).map((name) => ({
  name,
  request: goldenRequests[name],
  ...golden.requests[name],
}));

const interval: fc.Arbitrary<Interval> = fc.record({ min: u32, max: u32 });

const ranges: fc.Arbitrary<HwParamRanges> = fc.record({
  formats: u64,
  rates: interval,
  channels: interval,
  bufferFrames: interval,
  periodFrames: interval,
});

const anyRequest: fc.Arbitrary<SndifRequest> = fc.oneof(
  fc.record({
    op: fc.constant('open' as const),
    rate: u32,
    format: u8,
    channels: u8,
    bufferBytes: u32,
    directoryGref: u32,
    periodBytes: u32,
  }),
  fc.record({
    op: fc.constantFrom('read', 'write', 'setVolume', 'getVolume', 'mute', 'unmute'),
    offset: u32,
    length: u32,
  }),
  fc.constant({ op: 'close' as const }),
  fc.record({
    op: fc.constant('trigger' as const),
    trigger: fc.constantFrom('start', 'pause', 'stop', 'resume'),
  }),
  fc.record({ op: fc.constant('hwParamQuery' as const), ranges }),
);

/** `bytes` in the middle of a larger buffer, as a ring's target may be. */
function embedded(bytes: Uint8Array): Uint8Array {
  const larger = new Uint8Array(bytes.length + 24).fill(0xa5);
  larger.set(bytes, 12);
  return larger.subarray(12, 12 + bytes.length);
}

/** `bytes` with every byte of the ranges [from, to) set. */
function withGarbage(bytes: Uint8Array, ...reserved: (readonly [number, number])[]): Uint8Array {
  const garbled = Uint8Array.from(bytes);
  for (const [from, to] of reserved) garbled.fill(0xff, from, to);
  return garbled;
}

describe('codes', () => {
  it('are those of sndif.h', () => {
    expect(Object.keys(golden.operations)).toHaveLength(10);
    for (const [name, code] of Object.entries(golden.operations)) {
      expect(SndifOp).toHaveProperty(camelCase(name), code);
    }
    expect(Object.keys(golden.triggers)).toHaveLength(4);
    for (const [name, code] of Object.entries(golden.triggers)) {
      expect(SndifTrigger).toHaveProperty(camelCase(name.replace('TRIGGER_', '')), code);
    }
    expect(EVT_CUR_POS).toBe(golden.constants['XENSND_EVT_CUR_POS']);
  });
});

describe('a request', () => {
  it.each(requestCases)("$name is encoded to the header's bytes", ({ id, request, bytes }) => {
    expect(toHex(encodeRequest(id, request))).toBe(bytes);
  });

  it.each(requestCases)("$name is decoded from the header's bytes", ({ id, operation, request, bytes }) => {
    expect(decodeRequest(fromHex(bytes))).toEqual({ id, operation, request });
    expect(decodeRequest(embedded(fromHex(bytes)))).toEqual({ id, operation, request });
  });

  it.each([
    {
      name: 'OPEN',
      reserved: [
        [3, 8],
        [14, 16],
        [28, 64],
      ],
    },
    { name: 'CLOSE', reserved: [[3, 64]] },
    {
      name: 'WRITE',
      reserved: [
        [3, 8],
        [16, 64],
      ],
    },
    {
      name: 'TRIGGER_STOP',
      reserved: [
        [3, 8],
        [9, 64],
      ],
    },
    {
      name: 'HW_PARAM_QUERY',
      reserved: [
        [3, 8],
        [48, 64],
      ],
    },
  ] as const)('$name is decoded whatever its reserved bytes hold', ({ name, reserved }) => {
    const bytes = fromHex(golden.requests[name].bytes);
    expect(decodeRequest(withGarbage(bytes, ...reserved))).toEqual(decodeRequest(bytes));
  });

  it('comes back from its bytes as it was', () => {
    fc.assert(
      fc.property(u16, anyRequest, (id, request) => {
        const bytes = encodeRequest(id, request);
        expect(bytes).toHaveLength(golden.sizes['xensnd_req'] ?? 0);
        expect(decodeRequest(bytes)).toEqual({ id, operation: SndifOp[request.op], request });
      }),
    );
  });

  it('of an operation that sndif.h does not have keeps its id and operation, for the answer', () => {
    for (let operation = 10; operation <= 0xff; operation++) {
      const bytes = withGarbage(encodeRequest(0x1234, { op: 'close' }), [8, 64]);
      bytes[2] = operation;
      expect(decodeRequest(bytes)).toEqual({ id: 0x1234, operation, request: undefined });
    }
  });

  it('of a trigger that sndif.h does not have keeps its id and operation, for the answer', () => {
    for (let type = 4; type <= 0xff; type++) {
      const bytes = encodeRequest(7, trigger('start'));
      bytes[8] = type;
      expect(decodeRequest(bytes)).toEqual({ id: 7, operation: SndifOp.trigger, request: undefined });
    }
  });

  it('is a value whatever 64 bytes the frontend wrote, and one that encodes to what was understood', () => {
    fc.assert(
      fc.property(data(64), fc.integer({ min: 0, max: 12 }), (bytes, operation) => {
        bytes[2] = operation;
        const { id, request } = decodeRequest(bytes);
        expect(id).toBe((bytes[0] ?? 0) + 256 * (bytes[1] ?? 0));
        if (request !== undefined) expect(decodeRequest(encodeRequest(id, request)).request).toEqual(request);
      }),
    );
  });
});

describe('a response', () => {
  const withRanges = (from: GoldenResponse): from is GoldenResponse & GoldenHwParam =>
    from.formats !== undefined;

  const cases = Object.entries(golden.responses).map(([name, from]) => {
    const { id, operation, status, bytes } = from;
    const plain: SndifResponse = { id, operation, status };
    const response: SndifResponse = withRanges(from) ? { ...plain, ranges: goldenRanges(from) } : plain;
    return { name, response, bytes };
  });

  it.each(cases)("'$name' is encoded to the header's bytes", ({ response, bytes }) => {
    expect(toHex(encodeResponse(response))).toBe(bytes);
  });

  it.each(cases)("'$name' is decoded from the header's bytes", ({ response, bytes }) => {
    expect(decodeResponse(fromHex(bytes))).toStrictEqual(response);
    expect(decodeResponse(embedded(fromHex(bytes)))).toStrictEqual(response);
  });

  it('is decoded whatever its reserved bytes hold', () => {
    const answer = { id: 5, operation: SndifOp.write, status: -5 };
    const reserved = [
      [3, 4],
      [8, 64],
    ] as const;
    expect(decodeResponse(withGarbage(encodeResponse(answer), ...reserved))).toStrictEqual(answer);
  });

  it('has ranges only where a query succeeded', () => {
    const garbage = withGarbage(
      encodeResponse({ id: 5, operation: SndifOp.hwParamQuery, status: -22 }),
      [8, 64],
    );
    expect(decodeResponse(garbage)).not.toHaveProperty('ranges');
    const other = withGarbage(encodeResponse({ id: 5, operation: SndifOp.open, status: 0 }), [8, 64]);
    expect(decodeResponse(other)).not.toHaveProperty('ranges');
  });

  it('comes back from its bytes as it was', () => {
    fc.assert(
      fc.property(u16, u8, i32, (id, operation, status) => {
        fc.pre(operation !== SndifOp.hwParamQuery || status !== 0);
        const response = { id, operation, status };
        expect(decodeResponse(encodeResponse(response))).toStrictEqual(response);
      }),
    );
    fc.assert(
      fc.property(u16, ranges, (id, all) => {
        const response = { id, operation: SndifOp.hwParamQuery, status: 0, ranges: all };
        expect(decodeResponse(encodeResponse(response))).toEqual(response);
      }),
    );
  });

  it('is a value whatever 64 bytes the backend wrote', () => {
    fc.assert(
      fc.property(data(64), (bytes) => {
        const response = decodeResponse(bytes);
        expect(decodeResponse(encodeResponse(response))).toStrictEqual(response);
      }),
    );
  });
});

describe('a position event', () => {
  const cases = golden.events.map(({ id, position, bytes }) => ({ id, position: BigInt(position), bytes }));

  it.each(cases)("$position is encoded to and decoded from the header's bytes", ({ id, position, bytes }) => {
    expect(toHex(encodeCurPos({ id, position }))).toBe(bytes);
    expect(decodeEvent(fromHex(bytes))).toStrictEqual({ id, position });
    expect(decodeEvent(embedded(fromHex(bytes)))).toStrictEqual({ id, position });
  });

  it('keeps every bit of a position beyond 2^53', () => {
    fc.assert(
      fc.property(u16, u64, (id, position) => {
        expect(decodeEvent(encodeCurPos({ id, position }))).toStrictEqual({ id, position });
      }),
    );
  });

  it('of another type is a protocol error that names the type', () => {
    const bytes = encodeCurPos({ id: 1, position: 2n });
    bytes[2] = 0x42;
    expectCode(() => decodeEvent(bytes), 'ERR_VSND_PROTOCOL');
    expect(() => decodeEvent(bytes)).toThrow('66');
  });

  it('is a value or a protocol error whatever 64 bytes the backend wrote', () => {
    fc.assert(
      fc.property(data(64), fc.integer({ min: 0, max: 2 }), (bytes, type) => {
        bytes[2] = type;
        const event = valueOrProtocolError(() => decodeEvent(bytes));
        expect(event === undefined).toBe(type !== EVT_CUR_POS);
      }),
    );
  });
});

describe('the page directory', () => {
  const sequence = (first: number, count: number): number[] =>
    Array.from({ length: count }, (_, n) => first + n);

  const cases = Object.values(golden.directories).map((from) => ({
    ...from,
    grefs: sequence(from['first gref'], from.count),
    directoryGrefs: sequence(from['first directory gref'], from.pages.length),
  }));

  it("has as many references in a page as the header's structure leaves room for", () => {
    expect(DIRECTORY_GREFS).toBe(golden.constants['grefs in a directory page']);
  });

  it.each(cases)(
    'of $count references is encoded as the header says',
    ({ count, grefs, directoryGrefs, pages }) => {
      expect(directoryPageCount(count)).toBe(pages.length);
      const encoded = encodeDirectory(grefs, directoryGrefs).map((page) => toHex(pageFromHex(toHex(page))));
      expect(encoded).toEqual(pages.map(({ bytes }) => toHex(pageFromHex(bytes))));
    },
  );

  it.each(cases)(
    'of $count references is decoded by following the chain',
    ({ count, grefs, directoryGrefs, pages }) => {
      const found: number[] = [];
      const chain: number[] = [];
      for (const { next, bytes } of pages) {
        const page = decodeDirectoryPage(embedded(pageFromHex(bytes)), count - found.length);
        expect(page.next).toBe(next);
        found.push(...page.grefs);
        chain.push(page.next);
      }
      expect(found).toEqual(grefs);
      expect(chain).toEqual([...directoryGrefs.slice(1), 0]);
    },
  );

  it.each([
    [0, 1],
    [1, 1],
    [1023, 1],
    [1024, 2],
    [2046, 2],
    [2047, 3],
  ])('of %i references takes %i pages', (grefs, pages) => {
    expect(directoryPageCount(grefs)).toBe(pages);
  });

  it('takes no more references out of a page than the page has', () => {
    const page = pageFromHex(golden.directories['2500']?.pages[0]?.bytes ?? '');
    expect(decodeDirectoryPage(page, 0xffff_ffff).grefs).toHaveLength(1023);
    expect(decodeDirectoryPage(page, 0).grefs).toEqual([]);
  });

  it('comes back from its pages as it was, and ends with 0', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3100 }), fc.nat({ max: 0xffff_0000 }), (count, first) => {
        const grefs = sequence(first, count);
        const pages = encodeDirectory(grefs, sequence(0x100, directoryPageCount(count)));
        const found: number[] = [];
        for (const [index, bytes] of pages.entries()) {
          const page = decodeDirectoryPage(pageFromHex(toHex(bytes)), count - found.length);
          found.push(...page.grefs);
          expect(page.next).toBe(index === pages.length - 1 ? 0 : 0x100 + index + 1);
        }
        expect(found.join()).toBe(grefs.join());
      }),
    );
  });
});

test('an entry that is used again holds nothing of what was in it', () => {
  const entry = newEntry();
  entry.bytes.fill(0xff);
  const response = { id: 1, operation: SndifOp.write, status: 0 };
  expect(encodeResponse(response, entry)).toEqual(encodeResponse(response));
  entry.bytes.fill(0xff);
  const event = { id: 2, position: 3n };
  expect(encodeCurPos(event, entry)).toEqual(encodeCurPos(event));
});

test('a position is the same as a number and as a bigint', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (position) => {
      expect(encodeCurPos({ id: 1, position })).toEqual(encodeCurPos({ id: 1, position: BigInt(position) }));
    }),
  );
});
