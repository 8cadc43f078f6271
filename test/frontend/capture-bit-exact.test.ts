import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CaptureStream } from '../../src/frontend/capture-stream.ts';
import { openCard } from '../../src/open-card.ts';
import { startTestGuest } from '../../src/testing.ts';
import { PCM_FORMATS } from '../../src/wire/pcm-format.ts';
import { noise } from '../sound.ts';

describe('what the card captures is what is read, bit by bit', () => {
  interface Take {
    format: (typeof PCM_FORMATS)[number];
    channels: number;
    rate: number;
    buffer: number;
    period: number;
    highWaterMark: number;
    /** Frames that pass, then whether somebody reads. */
    steps: readonly { frames: number; isRead: boolean }[];
  }

  const takes = fc.record({
    format: fc.constantFrom(...PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined)),
    channels: fc.integer({ min: 1, max: 8 }),
    rate: fc.constantFrom(8000, 11_025, 44_100, 48_000, 192_000),
    buffer: fc.double({ min: 0, max: 1, noNaN: true }),
    period: fc.double({ min: 0, max: 1, noNaN: true }),
    highWaterMark: fc.constantFrom(1, 100, 1000, 16_384, 1_000_000),
    steps: fc.array(fc.record({ frames: fc.integer({ min: 1, max: 900 }), isRead: fc.boolean() }), {
      maxLength: 30,
    }),
  });

  /** All that is read now, and what follows from that. */
  async function readAll(input: CaptureStream, settle: () => Promise<void>): Promise<Buffer[]> {
    const chunks: Buffer[] = [];
    await settle();
    for (let chunk = input.read(); chunk !== null; chunk = input.read()) {
      chunks.push(chunk);
      await settle();
    }
    return chunks;
  }

  /** Records with a reader that may be slow, and compares: all is there, but what overruns say that it is not. */
  async function expectExact({ format, channels, rate, highWaterMark, steps, ...sizes }: Take) {
    const least = Math.ceil(rate / 1000);
    const bufferFrames = 4 * least + Math.floor(sizes.buffer * 1500);
    const periodFrames = least + Math.floor(sizes.period * (bufferFrames / 4 - least));
    const guest = await startTestGuest({ rate, capture: true, fields: { 'buffer-size': '262144' } });
    const card = await openCard({ hypervisor: guest.hypervisor });
    const input = card.createCaptureStream({
      format: format.name,
      channels,
      rate,
      bufferFrames,
      periodFrames,
      highWaterMark,
    });
    const source = noise(steps.reduce((sum, { frames }) => sum + frames, 0) * input.frameBytes);
    guest.device.say(source);
    const gaps: { from: number; to: number }[] = [];
    input.on('overrun', ({ lost, frames }) => gaps.push({ from: frames - lost, to: frames }));
    input.on('readable', () => {});
    const settle = () => guest.machine.settle();
    const chunks: Buffer[] = [];
    await settle();
    for (const { frames, isRead } of steps) {
      await guest.clock.advance(frames);
      if (isRead) chunks.push(...(await readAll(input, settle)));
    }
    input.finish();
    chunks.push(...(await readAll(input, settle)));
    await settle();
    const ends = [...gaps.map(({ from }) => from), input.position];
    const begins = [0, ...gaps.map(({ to }) => to)];
    const expected = Buffer.concat(
      begins.map((begin, n) => source.subarray(begin * input.frameBytes, (ends[n] ?? 0) * input.frameBytes)),
    );
    expect(Buffer.concat(chunks).equals(expected)).toBe(true);
    expect(input.position % periodFrames).toBe(0);
    expect(source.length / input.frameBytes - input.position).toBeLessThan(periodFrames);
    for (const chunk of chunks) expect(chunk.length % input.frameBytes).toBe(0);
    expect(input.readableEnded).toBe(true);
    await card.close();
    await guest.close();
  }

  test('any format, layout, buffer, period, highWaterMark and reader', async () => {
    await fc.assert(fc.asyncProperty(takes, expectExact), { numRuns: 60 });
  }, 60_000);
});
