import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeXsPermission,
  decodeXsStrings,
  decodeXsWrite,
  encodeXsMessage,
  encodeXsPermission,
  encodeXsStrings,
  encodeXsWrite,
  isXsPath,
  XS_ABS_PATH_MAX,
  XS_HEADER_SIZE,
  XS_PAYLOAD_MAX,
  XS_REL_PATH_MAX,
  type XsMessage,
  XsMessageDecoder,
  XsType,
} from '../../src/wire/xenstore.ts';
import { camelCase, fromHex, type GoldenMessage, golden, toHex } from '../golden/golden.ts';
import { expectCode, thrownBy, u16, u32, valueOrProtocolError } from './support.ts';

const goldenMessage = ({ type, req_id, tx_id, payload }: GoldenMessage): XsMessage => ({
  type,
  requestId: req_id,
  transactionId: tx_id,
  payload: fromHex(payload),
});

const goldenCases = Object.entries(golden.messages).map(([name, from]) => ({
  name,
  message: goldenMessage(from),
  bytes: fromHex(from.bytes),
}));

const typeCases = Object.entries(golden.messages).filter(([name]) => /^[A-Z_]+$/.test(name));

const anyMessage: fc.Arbitrary<XsMessage> = fc.record({
  type: u32,
  requestId: u32,
  transactionId: u32,
  payload: fc.oneof(
    { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 4080, maxLength: XS_PAYLOAD_MAX }) },
  ),
});

/** A text that a NUL can end: well-formed, and without one inside. */
const text: fc.Arbitrary<string> = fc
  .string({ unit: 'binary' })
  .map((string) => string.replaceAll('\0', '.'));

/** Cuts `bytes` where `cuts` say, modulo what is left. */
function* chunksOf(bytes: Uint8Array, cuts: readonly number[]): Generator<Uint8Array> {
  let start = 0;
  for (const cut of cuts) {
    const end = start + (cut % (bytes.length - start + 1));
    yield bytes.slice(start, end);
    start = end;
  }
  yield bytes.slice(start);
}

function header(type: number, requestId: number, transactionId: number, length: number): Uint8Array {
  const bytes = new Uint8Array(XS_HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  for (const [index, field] of [type, requestId, transactionId, length].entries()) {
    view.setUint32(4 * index, field, true);
  }
  return bytes;
}

describe('numbers', () => {
  it('has the types of xs_wire.h, and no other', () => {
    expect(Object.fromEntries(typeCases.map(([name, { type }]) => [camelCase(name), type]))).toEqual(XsType);
    expect(Math.max(...Object.values(XsType)) + 1).toBe(golden.constants['XS_TYPE_COUNT']);
  });

  it('has the limits of xs_wire.h', () => {
    expect(XS_PAYLOAD_MAX).toBe(golden.constants['XENSTORE_PAYLOAD_MAX']);
    expect(XS_ABS_PATH_MAX).toBe(golden.constants['XENSTORE_ABS_PATH_MAX']);
    expect(XS_REL_PATH_MAX).toBe(golden.constants['XENSTORE_REL_PATH_MAX']);
    expect(XS_HEADER_SIZE).toBe(golden.sizes['xsd_sockmsg']);
  });
});

describe('a message', () => {
  it.each(goldenCases)("$name is encoded to the header's bytes", ({ message, bytes }) => {
    expect(toHex(encodeXsMessage(message))).toBe(toHex(bytes));
  });

  it.each(goldenCases)("$name is decoded from the header's bytes", ({ message, bytes }) => {
    const decoder = new XsMessageDecoder();
    expect(decoder.push(bytes)).toStrictEqual([message]);
    expect(decoder.heldBytes).toBe(0);
  });

  it.each(goldenCases)('$name is decoded byte by byte', ({ message, bytes }) => {
    const decoder = new XsMessageDecoder();
    for (let index = 0; index < bytes.length - 1; index++) {
      expect(decoder.push(bytes.slice(index, index + 1))).toEqual([]);
      expect(decoder.heldBytes).toBe(index + 1);
    }
    expect(decoder.push(bytes.slice(-1))).toStrictEqual([message]);
    expect(decoder.heldBytes).toBe(0);
  });

  it.each(goldenCases)('$name is decoded before the next one has arrived', ({ message, bytes }) => {
    const decoder = new XsMessageDecoder();
    const next = encodeXsMessage({ ...message, requestId: 1 });
    const trailing = next.subarray(0, next.length - 1);
    expect(decoder.push(Uint8Array.from([...bytes, ...trailing]))).toStrictEqual([message]);
    expect(decoder.heldBytes).toBe(trailing.length);
    expect(decoder.push(next.subarray(-1))).toStrictEqual([{ ...message, requestId: 1 }]);
  });

  it.each([1, 15, 16, 17, 4111])('all of them together are decoded from chunks of %i', (size) => {
    const decoder = new XsMessageDecoder();
    const stream = Uint8Array.from(goldenCases.flatMap(({ bytes }) => [...bytes]));
    const found: XsMessage[] = [];
    for (let start = 0; start < stream.length; start += size) {
      found.push(...decoder.push(stream.subarray(start, start + size)));
    }
    expect(found).toStrictEqual(goldenCases.map(({ message }) => message));
  });

  it('comes back as it was, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { maxLength: 8 }),
        fc.array(fc.nat({ max: 60 }), { maxLength: 40 }),
        fc.uint8Array({ maxLength: XS_HEADER_SIZE - 1 }),
        (messages, cuts, trailing) => {
          const decoder = new XsMessageDecoder();
          const stream = Buffer.concat([...messages.map(encodeXsMessage), trailing]);
          const found = [...chunksOf(stream, cuts)].flatMap((chunk) => decoder.push(chunk));
          expect(found.map(({ payload, ...rest }) => ({ ...rest, payload: toHex(payload) }))).toEqual(
            messages.map(({ payload, ...rest }) => ({ ...rest, payload: toHex(payload) })),
          );
          expect(decoder.heldBytes).toBe(trailing.length);
        },
      ),
    );
  });

  it('belongs to its reader: a transport may use its chunk again', () => {
    const decoder = new XsMessageDecoder();
    const first = encodeXsMessage({
      type: 2,
      requestId: 1,
      transactionId: 0,
      payload: Buffer.from('first\0'),
    });
    const chunk = Uint8Array.from([...first, ...first.subarray(0, 18)]);
    const messages = decoder.push(chunk);
    chunk.fill(0xee);
    messages.push(...decoder.push(first.subarray(18)));
    expect(messages.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['first\0', 'first\0']);
  });
});

describe('the limit of 4096 bytes', () => {
  const most = { type: XsType.write, requestId: 1, transactionId: 0, payload: new Uint8Array(4096).fill(7) };

  it('is kept by a message of exactly as many', () => {
    const bytes = encodeXsMessage(most);
    expect(bytes).toHaveLength(XS_HEADER_SIZE + 4096);
    expect(new XsMessageDecoder().push(bytes)).toStrictEqual([most]);
  });

  it('makes one byte more caller misuse, which says E2BIG', () => {
    const encode = () => encodeXsMessage({ ...most, payload: new Uint8Array(4097) });
    expectCode(encode, 'ERR_VSND_INVALID_ARG');
    expect(thrownBy(encode)).toHaveProperty('errno', 'E2BIG');
  });

  it.each([4097, 0x1_0000, 0x8000_0000, 0xffff_ffff])('makes an announced %i a protocol error', (length) => {
    const decoder = new XsMessageDecoder();
    const bytes = header(2, 1, 0, length);
    expect(decoder.push(bytes.subarray(0, 15))).toEqual([]);
    expectCode(() => decoder.push(bytes.subarray(15)), 'ERR_VSND_PROTOCOL');
  });

  it('is checked behind whole messages of the same chunk too', () => {
    const bytes = Buffer.concat([encodeXsMessage(most), header(2, 1, 0, 4097)]);
    expectCode(() => new XsMessageDecoder().push(bytes), 'ERR_VSND_PROTOCOL');
  });

  it('bounds what a decoder holds', () => {
    const decoder = new XsMessageDecoder();
    decoder.push(encodeXsMessage(most).subarray(0, -1));
    expect(decoder.heldBytes).toBe(XS_HEADER_SIZE + 4095);
  });
});

describe('any bytes', () => {
  it('are messages and a rest that make them up again, or a protocol error', () => {
    const mostlyShort = fc
      .array(
        fc.oneof(
          { weight: 6, arbitrary: anyMessage.map(encodeXsMessage) },
          { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }) },
        ),
        { maxLength: 5 },
      )
      .map((parts) => Buffer.concat(parts));
    fc.assert(
      fc.property(
        fc.oneof(mostlyShort, fc.uint8Array({ maxLength: 100 })),
        fc.array(fc.nat({ max: 50 }), { maxLength: 10 }),
        (stream, cuts) => {
          const decoder = new XsMessageDecoder();
          const found: XsMessage[] = [];
          for (const chunk of chunksOf(stream, cuts)) {
            const messages = valueOrProtocolError(() => decoder.push(chunk));
            if (messages === undefined) return;
            found.push(...messages);
          }
          const again = Buffer.concat(found.map(encodeXsMessage));
          expect(toHex(again)).toBe(toHex(stream.subarray(0, again.length)));
          expect(decoder.heldBytes).toBe(stream.length - again.length);
        },
      ),
    );
  });
});

describe('strings', () => {
  it.each([
    { strings: [], hex: '' },
    { strings: [''], hex: '00' },
    { strings: ['T'], hex: '5400' },
    { strings: ['a', '', 'b'], hex: '6100006200' },
    { strings: ['a', ''], hex: '610000' },
    { strings: ['é'], hex: 'c3a900' },
  ])('$strings end with a NUL each: $hex', ({ strings, hex }) => {
    expect(toHex(encodeXsStrings(...strings))).toBe(hex);
    expect(decodeXsStrings(fromHex(hex))).toEqual(strings);
  });

  it('make the payloads of the header', () => {
    const payload = (name: string): string => golden.messages[name]?.payload ?? '';
    expect(toHex(encodeXsStrings('@releaseDomain', 'token 1'))).toBe(payload('WATCH'));
    expect(toHex(encodeXsStrings('7', '4660', '3'))).toBe(payload('INTRODUCE'));
    expect(toHex(encodeXsWrite('device/vsnd/0/state', '3'))).toBe(payload('WRITE'));
    expect(decodeXsStrings(fromHex(payload('WATCH_EVENT')))).toEqual(['backend/vsnd/7/0/state', 'token 2']);
  });

  it('count without their last NUL too: the value of a READ has none', () => {
    expect(decodeXsStrings(Buffer.from('a\0b'))).toEqual(['a', 'b']);
    expect(decodeXsStrings(Buffer.from('xa\0b').subarray(1))).toEqual(['a', 'b']);
  });

  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.array(text), (strings) => {
        expect(decodeXsStrings(encodeXsStrings(...strings))).toEqual(strings);
      }),
    );
  });

  it('are found in any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (payload) => {
        expect(decodeXsStrings(payload).every((string) => !string.includes('\0'))).toBe(true);
      }),
    );
  });
});

describe('the payload of WRITE', () => {
  it('ends with the value as it is, NULs included', () => {
    const value = Uint8Array.of(0, 255, 0);
    expect(toHex(encodeXsWrite('a/b', value))).toBe('612f620000ff00');
    expect(decodeXsWrite(encodeXsWrite('a/b', value))).toStrictEqual({ path: 'a/b', value });
    expect(decodeXsWrite(encodeXsWrite('a/b', ''))).toStrictEqual({ path: 'a/b', value: new Uint8Array(0) });
  });

  it('comes back as it was', () => {
    fc.assert(
      fc.property(text, fc.uint8Array(), (path, value) => {
        expect(decodeXsWrite(encodeXsWrite(path, value))).toEqual({ path, value });
      }),
    );
  });

  it('is a protocol error without a NUL, and a value with one', () => {
    expectCode(() => decodeXsWrite(Buffer.from('path')), 'ERR_VSND_PROTOCOL');
    expectCode(() => decodeXsWrite(new Uint8Array(0)), 'ERR_VSND_PROTOCOL');
    fc.assert(
      fc.property(fc.uint8Array(), (payload) => {
        const write = valueOrProtocolError(() => decodeXsWrite(payload));
        expect(write !== undefined).toBe(payload.includes(0));
      }),
    );
  });
});

describe('a permission', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.constantFrom('n', 'r', 'w', 'b'), u16, (access, domid) => {
        const permission = { access, domid };
        expect(decodeXsPermission(encodeXsPermission(permission))).toStrictEqual(permission);
      }),
    );
  });

  it('is written as SET_PERMS has it', () => {
    const [, ...entries] = decodeXsStrings(fromHex(golden.messages['SET_PERMS']?.payload ?? ''));
    expect(entries.map(decodeXsPermission)).toEqual([
      { access: 'n', domid: 7 },
      { access: 'r', domid: 0 },
      { access: 'b', domid: 65535 },
    ]);
    expect(entries.map((entry) => encodeXsPermission(decodeXsPermission(entry)))).toEqual(entries);
  });

  it.each([
    '',
    'r',
    '7',
    'x7',
    'r-1',
    'r65536',
    'r123456',
    'r000007',
    'r7 ',
    ' r7',
    'R7',
    'r7\n',
    'r0x7',
    'r7\0',
  ])('%j is a protocol error', (entry) => {
    expectCode(() => decodeXsPermission(entry), 'ERR_VSND_PROTOCOL');
  });

  it('quotes no more than the beginning of a long one', () => {
    expect(() => decodeXsPermission('y'.repeat(4096))).toThrow(/^.{1,120}$/);
  });

  it('is a value or a protocol error for any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[nrwbx][0-9]{0,6}$/)), (entry) => {
        const permission = valueOrProtocolError(() => decodeXsPermission(entry));
        if (permission === undefined) return;
        expect(permission.domid).toBeLessThanOrEqual(0xffff);
        expect(entry.replace(/^(.)0+(?=\d)/, '$1')).toBe(encodeXsPermission(permission));
      }),
    );
  });
});

describe('a path', () => {
  it.each([
    '/',
    '/local/domain/7/device/vsnd/0',
    'device/vsnd/0',
    'data',
    '@releaseDomain',
    '@introduceDomain',
    '/a-b_c@d/0',
    'A/Z',
  ])('%j is one', (path) => {
    expect(isXsPath(path)).toBe(true);
  });

  it.each([
    '',
    '//',
    '/a/',
    'a/',
    '//a',
    'a//b',
    '/a b',
    '/é',
    'a\0b',
    '/a\n',
    '/a.b',
    '/a*',
    '/a,b',
    '\n/a',
  ])('%j is none', (path) => {
    expect(isXsPath(path)).toBe(false);
  });

  it.each([
    { kind: 'absolute', prefix: '/', limit: XS_ABS_PATH_MAX },
    { kind: 'relative', prefix: '', limit: XS_REL_PATH_MAX },
  ])('that is $kind has at most $limit bytes', ({ prefix, limit }) => {
    expect(isXsPath(prefix.padEnd(limit, 'a'))).toBe(true);
    expect(isXsPath(prefix.padEnd(limit + 1, 'a'))).toBe(false);
  });

  it('has the alphabet of XenStore only', () => {
    const alphabet = /^[A-Za-z0-9\-_@/]*$/;
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (path) => {
        fc.pre(!alphabet.test(path));
        expect(isXsPath(path)).toBe(false);
      }),
    );
  });

  it('is any sequence of names of that alphabet', () => {
    const name = fc.stringMatching(/^[A-Za-z0-9_@-]{1,20}$/);
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 20 }), fc.boolean(), (names, absolute) => {
        expect(isXsPath(`${absolute ? '/' : ''}${names.join('/')}`)).toBe(true);
      }),
    );
  });
});
