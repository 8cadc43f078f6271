import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Guests } from '../../src/backend/guest.ts';
import { formatAmount, LIMIT_NAMES, LIMITS, limitsOf, parseLimit } from '../../src/backend/limits.ts';
import { TokenBucket } from '../../src/backend/token-bucket.ts';
import { ManualClock } from '../../src/clock.ts';
import { createGuest } from './budgets.ts';

const name = fc.constantFrom(...LIMIT_NAMES);
const domid = fc.option(fc.nat(0x7fff), { nil: undefined });

describe('--limit', () => {
  test('every setting is understood as it was meant', () => {
    fc.assert(
      fc.property(
        domid,
        name,
        fc.nat(999),
        fc.constantFrom('', 'K', 'M', 'G', 'T'),
        (domid, name, value, unit) => {
          const text = `${domid === undefined ? '' : `${domid}:`}${name}=${value}${unit}`;
          const factor =
            1024 **
            ' KMGT'
              .trimStart()
              .padStart(5)
              .indexOf(unit || ' ');
          expect(parseLimit(text)).toEqual({ domid, name, value: value * factor });
        },
      ),
    );
  });

  test('any other text is an error that names what is allowed', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const isSetting = /^(\d{1,5}:)?[a-z-]+=\d{1,15}[KMGT]?$/.test(text);
        fc.pre(!isSetting);
        expect(() => parseLimit(text)).toThrow(
          expect.objectContaining({
            code: 'ERR_VSND_INVALID_ARG',
            message: expect.stringMatching(/^--limit is .*NAME is one of rate, channels, bytes-per-second/s),
          }),
        );
      }),
    );
  });

  test.each([
    'rate',
    'rate=',
    'rate=-1',
    'rate=1.5',
    'rate=1e3',
    'Rate=1',
    'rates=1',
    ':rate=1',
    'x:rate=1',
    'rate=1k',
  ])('%s is none', (text) => {
    expect(() => parseLimit(text)).toThrow(/--limit is/);
  });

  test('every amount is understood as it is written', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(), fc.maxSafeInteger().map(Math.abs)), (value) => {
        fc.pre(value < 1e15);
        expect(parseLimit(`rate=${formatAmount(value)}`).value).toBe(value);
      }),
    );
    expect([0, 1000, 16_777_216, 3 * 1024].map(formatAmount)).toEqual(['0', '1000', '16M', '3K']);
  });

  test('a number that is not exact is none', () => {
    expect(() => parseLimit('wav-bytes=999999999999T')).toThrow(/--limit is/);
  });

  test('what is said of one guest goes before what is said of all, later before earlier', () => {
    const settings = ['7:rate=1', 'rate=2', 'rate=3', 'channels=4', '7:rate=5'].map((text) =>
      parseLimit(text),
    );
    expect(limitsOf(settings, 7)).toMatchObject({ rate: 5, channels: 4 });
    expect(limitsOf(settings, 8)).toMatchObject({ rate: 3, channels: 4 });
    expect(limitsOf([], 8)).toEqual(Object.fromEntries(LIMIT_NAMES.map((one) => [one, LIMITS[one].default])));
  });
});

describe('a token bucket', () => {
  const steps = fc.array(fc.record({ pause: fc.nat(2e9), count: fc.integer({ min: 1, max: 30 }) }), {
    maxLength: 20,
  });

  test('never lets more through than its size and its rate allow, and nobody waits longer than the longest', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 50 }),
        steps,
        (rate, size, steps) => {
          const longest = 2e9;
          const bucket = new TokenBucket({ rate, size, longest, now: 0 });
          const admitted: number[] = [];
          let now = 0;
          for (const { pause, count } of steps) {
            now += pause;
            for (let time = 0; time < count; time++) {
              const wait = bucket.take(now);
              if (wait === undefined) continue;
              expect(wait).toBeLessThanOrEqual(longest);
              expect(now + wait).toBeGreaterThanOrEqual(admitted.at(-1) ?? 0);
              admitted.push(now + wait);
            }
          }
          for (const [index, at] of admitted.entries()) {
            expect(index + 1).toBeLessThanOrEqual(size + (at * rate) / 1e9 + 1e-6);
          }
        },
      ),
    );
  });

  test('with a rate of 0 lets nothing through', () => {
    const bucket = new TokenBucket({ rate: 0, size: 0, longest: 2e9, now: 0 });
    expect(bucket.take(1e18)).toBeUndefined();
  });
});

describe('a guest', () => {
  test('never holds more than its limit, and all of it is there again when it gives everything back', () => {
    const deed = fc.record({ amount: fc.nat(60), release: fc.nat(5) });
    fc.assert(
      fc.property(fc.array(deed, { maxLength: 50 }), (deeds) => {
        const { guest } = createGuest({ limits: ['buffer-bytes=100'] });
        const held: { amount: number; release: () => void }[] = [];
        const sum = () => held.reduce((total, { amount }) => total + amount, 0);
        for (const { amount, release } of deeds) {
          const fits = sum() + amount <= 100;
          if (fits) held.push({ amount, release: guest.hold('buffer-bytes', amount, 'buffer_sz') });
          else expect(() => guest.hold('buffer-bytes', amount, 'buffer_sz')).toThrow(/buffer_sz is/);
          expect(guest.left('buffer-bytes')).toBe(100 - sum());
          const [done] = held.splice(release, 1);
          done?.release();
          done?.release();
        }
        for (const { release } of held) release();
        expect(guest.left('buffer-bytes')).toBe(100);
      }),
    );
  });

  test('is remembered for ten minutes after its last card, and for as long as it has one', async () => {
    const clock = new ManualClock();
    const guests = new Guests({ limits: [], clock, log() {} });
    const giveBack = guests.find(1).hold('cards', 1, 'one more card');
    guests.find(1).hold('wav-files', 1, 'one more file');
    await clock.advanceTime(3600e9);
    giveBack();
    await clock.advanceTime(599e9);
    const used = (domid: number) =>
      guests.status.find((guest) => guest.domid === domid)?.limits.find((limit) => limit.name === 'wav-files')
        ?.used;
    guests.find(2);
    expect([used(1), used(2)]).toEqual([1, 0]);
    await clock.advanceTime(1e9);
    guests.find(2);
    expect([used(1), used(2)]).toEqual([undefined, 0]);
  });
});
