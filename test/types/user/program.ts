// What a user writes: it has to compile as it is, and each mistake in it has to be one.
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import {
  type CaptureStream,
  type Card,
  isVsndError,
  listCards,
  openCard,
  type PlaybackStream,
  watchCards,
} from 'vsnd';
import { type AudioSource, createFrameConverter, createWavFile, openAudio } from 'vsnd/audio';
import Speaker from 'vsnd/speaker';
import { ManualClock, memoryDevice, startTestGuest } from 'vsnd/testing';

const FORMAT = { rate: 48_000, channels: 2, format: 's16_le' } as const;

async function play(path: string): Promise<number> {
  const card = await openCard({ reconnect: true, signal: AbortSignal.timeout(1000) });
  const out: PlaybackStream = card.createPlaybackStream({ ...FORMAT, startThresholdFrames: 1024 });
  await pipeline(createReadStream(path), out);
  await out.setVolume([-6, -6]);
  await card.close();
  return out.position;
}

async function capture(): Promise<Buffer[]> {
  const card = await openCard({ card: 0 });
  const input: CaptureStream = card.createCaptureStream(FORMAT);
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(chunk as Buffer);
  return chunks;
}

async function describe(): Promise<string[]> {
  for await (const change of watchCards()) if (change.card.devid > 0) break;
  const cards = await listCards({ onUnreadable: (error) => console.error(error.code) });
  return cards.map(({ shortName, pcmDevices }) => `${shortName}: ${pcmDevices.length}`);
}

async function convert(path: string): Promise<void> {
  const { body } = await fetch('http://radio.example/');
  for (const input of [new Uint8Array(0), createReadStream(path), ...(body ? [body] : [])]) {
    await (await openAudio(input, { name: 'any' })).close();
  }
  const source: AudioSource = await openAudio(path);
  const converter = await createFrameConverter(source, { rate: 44_100, channels: 1, format: 's16_le' });
  const file = await createWavFile('heard.wav', converter.to);
  for await (const frames of source.read(10 * source.rate)) file.write(converter.convert(frames));
  file.end(converter.end());
}

async function inTests(): Promise<void> {
  const guest = await startTestGuest({ rate: 48_000, capture: true });
  guest.machine.faults.loseNotifications({ domid: guest.machine.dom0.domid, count: 3 });
  const end = guest.machine.faults.stopXenStore();
  await guest.clock.advance(1024);
  end();
  const heard: Uint8Array = guest.device.heard();
  console.log(heard.length, memoryDevice(new ManualClock()).description);
  await guest.close();
  // @ts-expect-error: what the machine asks of its faults is not for users
  guest.machine.faults.isLost(0, 1);
  // @ts-expect-error: nor is what a domain is to the machine
  guest.machine.dom0.leaveMemory();
}

function replaceSpeaker(): void {
  const speaker: Speaker = new Speaker({ channels: 2, bitDepth: 16, sampleRate: 44_100 });
  speaker.write(Buffer.alloc(4096));
  speaker.close();
  // @ts-expect-error: an option of another type
  new Speaker({ channels: '2' });
}

function listen(out: PlaybackStream, input: CaptureStream): void {
  out.on('underrun', ({ frames, count }) => console.log(frames + count));
  out.once('position', ({ frames }) => console.log(frames.toFixed()));
  out.on('disconnect', ({ error, frames }) => console.error(error.message, frames));
  out.off('reconnect', ({ gap }: { frames: number; gap: number }) => console.log(gap));
  out.on('warning', ({ code }) => code === 'VSND_PARTIAL_FRAME');
  out.on('open', () => {}).on('drain', () => {});
  input.on('overrun', ({ lost, frames, count }) => console.log(lost + frames + count));
  // What Node's own streams tell stays typed.
  out.on('error', (error) => console.error(error.message));
  out.on('close', () => {});
  input.on('data', (chunk: Buffer) => console.log(chunk.length));
  for (const event of ['open', 'underrun', 'position'] as const) out.on(event, (told) => console.log(told));
  for (const event of ['close', 'error'] as const) out.once(event, (told?: unknown) => console.log(told));
  // @ts-expect-error: an event that is misspelt
  out.on('underun', () => {});
  // @ts-expect-error: and so for whoever waits for it once
  out.once('postion', () => {});
  // @ts-expect-error: what a capture stream tells
  out.on('overrun', () => {});
  // @ts-expect-error: what a playback stream tells
  input.on('underrun', () => {});
  // @ts-expect-error: what the event does not say
  out.on('underrun', ({ lost }) => console.log(lost));
  // @ts-expect-error: of another type
  input.on('position', ({ frames }: { frames: string }) => console.log(frames));
}

/** What every stream tells, whichever way its sound goes. */
async function leave(card: Card): Promise<void> {
  for (const stream of card.streams) {
    stream.on('warning', ({ message }) => console.warn(message));
    for (const event of ['close', 'error'] as const) stream.on(event, () => {});
    await new Promise((resolve) => stream.once('close', resolve).destroy());
  }
}

async function mistakes(): Promise<void> {
  // @ts-expect-error: an option that is misspelt
  const card = await openCard({ reconect: true });
  // @ts-expect-error: a format that there is not
  card.createPlaybackStream({ ...FORMAT, format: 's15_le' });
  // @ts-expect-error: an option that is missing
  card.createPlaybackStream({ rate: 48_000, channels: 2 });
  // @ts-expect-error: a code that there is not
  card.close().catch((error: unknown) => isVsndError(error) && error.code === 'ERR_VSND_NOTHING');
}

await play('music.raw').catch((error: unknown) => console.error(isVsndError(error) ? error.code : error));
console.log(await capture(), await describe());
await convert('voice.flac');
await inTests();
await mistakes();
const everything = await openCard();
listen(everything.createPlaybackStream(FORMAT), everything.createCaptureStream(FORMAT));
await leave(everything);
replaceSpeaker();
