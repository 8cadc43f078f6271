import { describe, expect, it } from 'vitest';
import { describeStatus, XenErrno, xenErrnoName } from '../../src/wire/xen-errno.ts';
import { golden } from '../golden/golden.ts';

describe('the table', () => {
  it("holds every name of xen/errno.h, the hypervisor's own included, and three that sound needs", () => {
    expect(XenErrno).toEqual({ ...golden.errnoWithInternal, ...golden.errnoOfLinuxSound });
    expect(XenErrno).toMatchObject(golden.errno);
  });

  it('holds every error that XenStore answers with', () => {
    expect(Object.keys(golden.xsdErrors)).toHaveLength(16);
    expect(XenErrno).toMatchObject(golden.xsdErrors);
  });
});

describe('the name of a value', () => {
  it.each(Object.entries(golden.errnoWithInternal))('%s: %i', (name, value) => {
    const found = xenErrnoName(value);
    const aliases: Record<string, string> = { EWOULDBLOCK: 'EAGAIN', EDEADLOCK: 'EDEADLK' };
    expect(found).toBe(aliases[name] ?? name);
  });

  it.each([0, -22, 15, 112, 0x8000_0000, Number.NaN])('none: %s', (value) => {
    expect(xenErrnoName(value)).toBeUndefined();
  });
});

describe('a status in words', () => {
  it.each([
    [0, '0'],
    [-22, '-22 (EINVAL)'],
    [-11, '-11 (EAGAIN)'],
    [-32, '-32 (EPIPE)'],
    [-77, '-77 (EBADFD)'],
    [-86, '-86 (ESTRPIPE)'],
    [-4096, '-4096'],
    [22, '22'],
    [-0x8000_0000, '-2147483648'],
  ])('%i', (status, text) => {
    expect(describeStatus(status)).toBe(text);
  });
});
