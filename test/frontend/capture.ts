import { expect, test } from 'vitest';
import type { CaptureStream, CaptureStreamOptions } from '../../src/frontend/capture-stream.ts';
import type { CaptureStreamEvents } from '../../src/frontend/stream-events.ts';
import { FRAME, noise, TEN_PERIODS } from '../sound.ts';
import type { RawBackend } from './raw-backend.ts';
import { IS_CARRIED, type RawCard } from './setup.ts';

/** What the backend will have captured. */
export const SOURCE = noise(10_000 * FRAME);

/** Every chunk that arrives from now on. */
export function collect(input: CaptureStream): Buffer[] {
  const chunks: Buffer[] = [];
  input.on('data', (chunk: Buffer) => chunks.push(chunk));
  return chunks;
}

/** The events with these names, as they come, by name and what they say. */
export function follow(input: CaptureStream, ...names: (keyof CaptureStreamEvents)[]): unknown[] {
  const events: unknown[] = [];
  for (const name of names) {
    input.on(name as 'error', (detail?: unknown) =>
      events.push(detail === undefined ? name : [name, detail]),
    );
  }
  return events;
}

/** A stream that runs, with a reader and nothing captured yet; it will hear SOURCE. */
export async function startCapturing(
  { machine, backend, card }: RawCard,
  options: Partial<CaptureStreamOptions> = {},
) {
  backend.toCapture = Buffer.from(SOURCE);
  const input = card.createCaptureStream({ ...TEN_PERIODS, ...options });
  const chunks = collect(input);
  await machine.settle();
  expect(input.state).toBe('running');
  return { input, chunks };
}

/** As {@link startCapturing}, and the reader takes no more than the 100 frames for which the stream has room itself. */
export async function startIdle(raw: RawCard, options: Partial<CaptureStreamOptions> = {}) {
  const { input, chunks } = await startCapturing(raw, { highWaterMark: 100 * FRAME, ...options });
  input.pause();
  return { input, chunks };
}

export async function report({ machine, backend }: RawCard, frames: number): Promise<void> {
  backend.sendPosition(frames * FRAME);
  await machine.settle();
}

/** Where each READ asked for how much, in frames: '100 at 0'. */
export function reads(backend: RawBackend): string[] {
  return backend.requests.flatMap(({ request }) =>
    request?.op === 'read' ? [`${request.length / FRAME} at ${request.offset / FRAME}`] : [],
  );
}

/** What was asked of the backend, save READs. */
export function others({ operations }: RawBackend): string[] {
  return operations.filter((operation) => operation !== 'read');
}

/** What holds where nothing is read ahead of the reader, as a thread that carries the stream does. */
export const testUnstaged = test.skipIf(IS_CARRIED);

export const OPENED = ['hwParamQuery', 'hwParamQuery', 'open'];
