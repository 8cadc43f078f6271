/// <reference lib="dom" />
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { noise, occurrences, writeRaw, writeWav } from '../../bridge/real/sound.ts';
import { REAL_TIME } from '../../bridge/real/sound-server.ts';
import { FRAME } from '../../sound.ts';
import { makeDirectory, ServeCommand } from './serve-command.ts';

const RATE = 48_000;
const FORMAT = { format: 's16_le', rate: RATE, channels: 2 } as const;

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** A page of a browser that plays and records through the server, and asks nobody anything. */
async function openPage(serve: ServeCommand): Promise<{ browser: Browser; page: Page }> {
  const hurried = join(serve.directory, 'chromium');
  writeFileSync(hurried, `#!/bin/sh\nexec ${REAL_TIME.join(' ')} ${CHROMIUM} "$@"\n`, { mode: 0o755 });
  const browser = await chromium.launch({
    executablePath: hurried,
    env: { ...serve.env, HOME: serve.directory } as Record<string, string>,
    ignoreDefaultArgs: ['--mute-audio'],
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--autoplay-policy=no-user-gesture-required',
      '--use-fake-ui-for-media-stream',
      '--allow-file-access-from-files',
    ],
  });
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  const blank = writeRaw(serve.directory, 'blank.html', Buffer.from('<!doctype html><title>sound</title>'));
  await page.goto(`file://${blank}`); // a secure context: microphones are for these
  return { browser, page };
}

/** The samples of 16 bits that Chromium has made its own of: 32767 is its 1, -32768 its -1. */
function framesOf(base64: string): Buffer {
  const floats = new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
  const samples = Int16Array.from(floats, (value) => Math.round(value * (value < 0 ? 32_768 : 32_767)));
  return Buffer.from(samples.buffer);
}

describe('Chromium', () => {
  test('plays bit for bit', async () => {
    const directory = makeDirectory();
    const sound = noise('s16_le', 2, 3 * RATE);
    const serve = new ServeCommand(['--latency', '500'], { directory });
    await serve.event('listen');
    const { browser, page } = await openPage(serve);
    await page.evaluate(
      async ([text, rate]) => {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const samples = new Int16Array(bytes.buffer);
        const context = new AudioContext({ sampleRate: rate, latencyHint: 'playback' });
        const buffer = context.createBuffer(2, samples.length / 2, rate);
        for (const channel of [0, 1]) {
          const values = buffer.getChannelData(channel);
          for (let frame = 0; frame < values.length; frame++)
            values[frame] = (samples[2 * frame + channel] ?? 0) / 32_768;
        }
        const source = new AudioBufferSourceNode(context, { buffer });
        source.connect(context.destination);
        source.start(context.currentTime + 0.5);
        await new Promise((resolve) => source.addEventListener('ended', resolve));
        await new Promise((resolve) => setTimeout(resolve, 1000)); // what it has not sent yet
      },
      [sound.toString('base64'), RATE] as const,
    );
    await browser.close();
    const takes = await serve.stop();
    expect(takes.reduce((sum, take) => sum + occurrences(take, sound), 0)).toBe(1);
  });

  test('records whole by getUserMedia', async () => {
    const directory = makeDirectory();
    const said = noise('s16_le', 2, 30 * RATE);
    const path = writeWav(directory, 'said.wav', FORMAT, said);
    const serve = new ServeCommand(['--source', `wav:${path}`, '--latency', '500'], { directory });
    await serve.event('listen');
    const { browser, page } = await openPage(serve);
    const recorded = await page.evaluate(async (frames) => {
      const off = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const audio = { ...off, channelCount: { exact: 2 }, sampleRate: 48_000 };
      const stream = await navigator.mediaDevices.getUserMedia({ audio });
      const [track] = stream.getAudioTracks();
      type Processor = new (options: { track: unknown }) => { readable: ReadableStream };
      const { MediaStreamTrackProcessor } = globalThis as unknown as { MediaStreamTrackProcessor: Processor };
      const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
      const samples = new Float32Array(2 * frames);
      for (let at = 0; at < frames; ) {
        const { value } = await reader.read();
        const count = Math.min(value.numberOfFrames, frames - at);
        const plane = new Float32Array(value.numberOfFrames);
        for (const planeIndex of [0, 1]) {
          value.copyTo(plane, { planeIndex, format: 'f32-planar' });
          for (let frame = 0; frame < count; frame++)
            samples[2 * (at + frame) + planeIndex] = plane[frame] ?? 0;
        }
        value.close();
        at += count;
      }
      track?.stop();
      let text = '';
      const bytes = new Uint8Array(samples.buffer);
      for (let at = 0; at < bytes.length; at += 8192)
        text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      return btoa(text);
    }, 3 * RATE);
    await browser.close();
    await serve.stop();
    const heard = framesOf(recorded);
    expect(heard.length).toBe(3 * RATE * FRAME);
    const begin = said.indexOf(heard.subarray(0, 64));
    expect(begin).toBeGreaterThanOrEqual(0);
    expect(Buffer.compare(heard, said.subarray(begin, begin + heard.length))).toBe(0);
  });
});
