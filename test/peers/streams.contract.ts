import { afterEach, describe, expect, test } from 'vitest';
import type { CaptureStream } from '../../src/frontend/capture-stream.ts';
import type { Card, CardOptions } from '../../src/frontend/card.ts';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import { openCard } from '../../src/open-card.ts';
import { createSoundCard, type EmulatedDomain, EmulatedMachine, ManualClock } from '../../src/testing.ts';
import { closing } from '../frontend/setup.ts';
import { FRAME, noise, STEREO } from '../sound.ts';
import type { RestartOrder } from './foreign-backend.ts';
import type { Peer, Profile } from './profiles.ts';

const SECOND = 48_000;
/** Two streams that play and one that captures, as the first PCM device's streams 0, 1 and 2. */
const [FIRST, SECOND_STREAM, MIC] = ['0/0/0', '0/0/1', '0/0/2'];

/** A guest whose cards are served by the peer, and the time in the test's hand. */
class Scene {
  readonly clock = new ManualClock();
  readonly machine = new EmulatedMachine({ clock: this.clock });
  readonly guest = this.machine.createDomain();
  readonly #cards: Card[] = [];
  #peer: Peer | undefined;

  get peer(): Peer {
    if (this.#peer === undefined) throw new Error('this scene has no peer');
    return this.#peer;
  }

  async begin(profile: Profile): Promise<void> {
    for (const devid of [0, 1]) {
      const streams = ['p', 'p', 'c'].map((type, index) => ({
        fields: { type, 'unique-id': `stream${index}` },
      }));
      createSoundCard(this.machine, { frontendDomid: this.guest.domid, devid, pcmDevices: [{ streams }] });
    }
    this.#peer = await profile.start(this.machine, this.guest.domid);
    await this.machine.settle();
  }

  async open(options: CardOptions & { process?: EmulatedDomain } = {}): Promise<Card> {
    const { process = this.guest, ...rest } = options;
    const card = await this.until(openCard({ hypervisor: process, ...rest }));
    this.#cards.push(card);
    return card;
  }

  /** Lets the time pass, a little at a time, until `promise` is settled. */
  async until<T>(promise: Promise<T>, seconds = 60): Promise<T> {
    let isSettled = false;
    const watched = promise.finally(() => {
      isSettled = true;
    });
    watched.catch(() => {});
    await this.machine.settle();
    for (let passed = 0; !isSettled && passed < seconds; passed += 0.02) await this.clock.advanceTime(20e6);
    if (!isSettled) throw new Error(`still waiting after ${seconds} s`);
    return await watched;
  }

  /** Ends it all: the peer has lived, and no host device is left open. */
  async end(): Promise<void> {
    for (const card of this.#cards.splice(0)) await this.until(card.close());
    await this.machine.settle();
    expect(this.peer.complaints()).toEqual([]);
    expect(this.peer.isInUse).toBe(false);
    await this.peer.end();
    await this.machine.settle();
    this.machine.assertCleanedUp();
  }
}

/** What comes out of a capture stream, until it ends. */
function collect(input: CaptureStream): Buffer[] {
  const chunks: Buffer[] = [];
  input.on('data', (chunk: Buffer) => chunks.push(chunk));
  return chunks;
}

/** Every promise that vsnd makes of a stream, kept with a backend of this profile; and after every test it has lived. */
export function describeStreams(profile: Profile): void {
  describe(`streams on ${profile.name}`, () => {
    let scene: Scene | undefined;
    afterEach(async () => {
      const ended = scene;
      scene = undefined;
      await ended?.end();
    });
    const setUp = async (): Promise<Scene> => {
      scene = new Scene();
      await scene.begin(profile);
      return scene;
    };
    const play = async (options: CardOptions = {}, stream = {}) => {
      const { machine } = await setUp();
      const scene_ = scene as Scene;
      const card = await scene_.open(options);
      const out = card.createPlaybackStream({ ...STEREO, ...stream });
      await machine.settle();
      return { scene: scene_, peer: scene_.peer, card, out, closed: closing(out) };
    };
    /** Writes all of it, as fast as it is taken. */
    const feed = (out: PlaybackStream, source: Buffer, chunk = 9600) => {
      let at = 0;
      const go = () => {
        while (at < source.length && !out.destroyed) {
          const wantsMore = out.write(source.subarray(at, at + chunk));
          at += chunk;
          if (!wantsMore) return void out.once('drain', go);
        }
        if (!out.destroyed) out.end();
      };
      go();
    };

    /** With two periods a lost position is an underrun; with one there always is one. */
    test.each([
      ['with nothing said', {}, false],
      ['in small periods', { bufferFrames: 1024, periodFrames: 128 }, false],
      ['in periods that are no whole milliseconds', { bufferFrames: 3000, periodFrames: 100 }, false],
      ['in a large buffer', { bufferFrames: 16_000, periodFrames: 1024 }, false],
      ['in two periods', { bufferFrames: 2048, periodFrames: 1024 }, true],
      ['in a single period', { bufferFrames: 2048, periodFrames: 2048 }, true],
    ])('plays every frame, and finishes when all have been played: %s', async (_, sizes, isTight) => {
      const { scene, peer, out, closed } = await play({}, sizes);
      const source = noise(2 * SECOND * FRAME);
      let heardAtFinish = -1;
      out.once('finish', () => {
        heardAtFinish = peer.heard(FIRST).length;
      });
      feed(out, source);
      expect(await scene.until(closed)).toBeUndefined();
      expect([heardAtFinish, out.position]).toEqual([source.length, 2 * SECOND]);
      if (!isTight) expect(out.underruns).toBe(0);
      if (!isTight || !profile.skipsLateData) expect(peer.heard(FIRST).equals(source)).toBe(true);
    });

    test('plays what is shorter than a period, and nothing at all', async () => {
      const { scene, peer, card, out, closed } = await play();
      out.end(noise(10 * FRAME));
      expect(await scene.until(closed)).toBeUndefined();
      expect(peer.heard(FIRST).equals(noise(10 * FRAME))).toBe(true);
      const empty = card.createPlaybackStream(STEREO);
      const emptyClosed = closing(empty);
      empty.end();
      expect(await scene.until(emptyClosed)).toBeUndefined();
    });

    test('runs dry, and plays on with what comes then', async () => {
      const { scene, peer, out, closed } = await play({}, { bufferFrames: 4096, periodFrames: 1024 });
      const source = noise(8 * 4096 * FRAME);
      for (let part = 0; part < 8; part++) {
        const length = source.length / 8;
        out.write(source.subarray(part * length, (part + 1) * length));
        await scene.clock.advance(2 * 4096);
      }
      expect(out.underruns).toBe(8);
      out.end();
      expect(await scene.until(closed)).toBeUndefined();
      expect(out.position).toBe(8 * 4096);
      if (!profile.skipsLateData) expect(peer.heard(FIRST).equals(source)).toBe(true);
    });

    test('captures every frame, in order', async () => {
      const { peer, card, scene } = await play();
      const source = noise(2 * SECOND * FRAME);
      peer.say(MIC, source);
      const input = card.createCaptureStream(STEREO);
      const chunks = collect(input);
      await scene.clock.advance(1.5 * SECOND);
      const closed = closing(input);
      input.finish();
      expect(await scene.until(closed)).toBeUndefined();
      const heard = Buffer.concat(chunks);
      expect(heard.length).toBeGreaterThan(1.4 * SECOND * FRAME);
      expect(heard.equals(source.subarray(0, heard.length))).toBe(true);
      expect(input.overruns).toBe(0);
    });

    test('captures on after nobody has read for long, and counts that', async () => {
      const { peer, card, scene } = await play();
      const input = card.createCaptureStream({ ...STEREO, bufferFrames: 4096, periodFrames: 512 });
      const source = noise(20 * SECOND * FRAME);
      peer.say(MIC, source);
      const chunks = collect(input);
      await scene.clock.advance(SECOND);
      const before = Buffer.concat(chunks);
      expect(before.length).toBeGreaterThan(0.9 * SECOND * FRAME);
      expect([input.overruns, before.equals(source.subarray(0, before.length))]).toEqual([0, true]);
      input.pause();
      await scene.clock.advance(5 * SECOND);
      chunks.length = 0;
      input.resume();
      await scene.clock.advance(2 * SECOND);
      expect(input.overruns).toBeGreaterThan(0);
      const after = Buffer.concat(chunks);
      expect(after.length).toBeGreaterThan(1.5 * SECOND * FRAME);
      expect(source.includes(after.subarray(-SECOND * FRAME))).toBe(true);
      const closed = closing(input);
      input.destroy();
      expect(await scene.until(closed)).toBeUndefined();
    });

    test('pauses and goes on, playing and capturing, without a loss', async () => {
      const { scene, peer, card, out, closed } = await play();
      const source = noise(SECOND * FRAME);
      feed(out, source);
      const input = card.createCaptureStream(STEREO);
      peer.say(MIC, noise(5 * SECOND * FRAME, 2));
      const chunks = collect(input);
      for (let round = 0; round < 3; round++) {
        await scene.clock.advance(5000);
        await scene.until(Promise.all([out.trigger('pause'), input.trigger('pause')]));
        await scene.clock.advance(30_000);
        await scene.until(Promise.all([out.trigger('resume'), input.trigger('resume')]));
      }
      expect(await scene.until(closed)).toBeUndefined();
      expect(peer.heard(FIRST).equals(source)).toBe(true);
      const captured = closing(input);
      input.finish();
      expect(await scene.until(captured)).toBeUndefined();
      const heard = Buffer.concat(chunks);
      expect(heard.equals(noise(5 * SECOND * FRAME, 2).subarray(0, heard.length))).toBe(true);
    });

    test('pauses where it has run dry, and plays on', async () => {
      const { scene, peer, out, closed } = await play({}, { bufferFrames: 4096, periodFrames: 1024 });
      out.write(noise(4096 * FRAME));
      await scene.clock.advance(10_000);
      await scene.until(out.trigger('pause'));
      out.write(noise(4096 * FRAME, 2));
      await scene.clock.advance(10_000);
      await scene.until(out.trigger('resume'));
      out.end();
      expect(await scene.until(closed)).toBeUndefined();
      if (!profile.skipsLateData) expect(peer.heard(FIRST).length).toBe(2 * 4096 * FRAME);
    });

    test('throws away what is queued, and plays what is written next', async () => {
      const { scene, peer, out, closed } = await play();
      out.write(noise(SECOND * FRAME));
      await scene.clock.advance(5000);
      await scene.until(out.drop());
      const next = noise(0.5 * SECOND * FRAME, 3);
      feed(out, next);
      expect(await scene.until(closed)).toBeUndefined();
      expect(peer.heard(FIRST, peer.takes(FIRST) - 1).equals(next)).toBe(true);
    });

    test('is destroyed at any time; the next stream plays', async () => {
      const { scene, peer, card, out, closed } = await play();
      out.destroy();
      await scene.until(closed);
      for (let round = 0; round < 20; round++) {
        const stream = card.createPlaybackStream({ ...STEREO, bufferFrames: 4800, periodFrames: 480 });
        const streamClosed = closing(stream);
        stream.write(noise(9600 * FRAME));
        for (let turn = 0; turn < round; turn++) await scene.machine.step();
        await scene.clock.advance(round * 333);
        stream.destroy();
        expect(await scene.until(streamClosed)).toBeUndefined();
      }
      const last = card.createPlaybackStream(STEREO);
      const lastClosed = closing(last);
      const before = peer.heard(FIRST).length;
      last.end(noise(SECOND * FRAME, 5));
      expect(await scene.until(lastClosed)).toBeUndefined();
      expect(
        peer
          .heard(FIRST)
          .subarray(before)
          .equals(noise(SECOND * FRAME, 5)),
      ).toBe(true);
    });

    test('plays two streams and captures at once', async () => {
      const { scene, peer, card, out, closed } = await play();
      const second = card.createPlaybackStream({ ...STEREO, rate: 44_100, channels: 1 });
      const secondClosed = closing(second);
      const input = card.createCaptureStream(STEREO);
      const chunks = collect(input);
      const [a, b, c] = [noise(SECOND * FRAME), noise(88_200, 2), noise(3 * SECOND * FRAME, 3)];
      peer.say(MIC, c);
      feed(out, a);
      feed(second, b);
      expect(await scene.until(Promise.all([closed, secondClosed]))).toEqual([undefined, undefined]);
      const inputClosed = closing(input);
      input.finish();
      expect(await scene.until(inputClosed)).toBeUndefined();
      expect(peer.heard(FIRST).equals(a)).toBe(true);
      expect(peer.heard(SECOND_STREAM).equals(b)).toBe(true);
      const heard = Buffer.concat(chunks);
      expect(heard.equals(c.subarray(0, heard.length))).toBe(true);
    });

    test('serves two cards at once', async () => {
      const { scene, peer, out, closed } = await play();
      const other = await scene.open({ card: 1 });
      const stream = other.createPlaybackStream(STEREO);
      const streamClosed = closing(stream);
      stream.end(noise(SECOND * FRAME, 2));
      feed(out, noise(SECOND * FRAME));
      expect(await scene.until(Promise.all([closed, streamClosed]))).toEqual([undefined, undefined]);
      expect(peer.heard(FIRST).equals(noise(SECOND * FRAME))).toBe(true);
      expect(peer.heard('1/0/0').equals(noise(SECOND * FRAME, 2))).toBe(true);
    });

    test('is closed with its card while it plays, pauses, drains or is dry, and opened again', async () => {
      await setUp();
      const { clock, peer } = scene as Scene;
      for (const at of ['playing', 'paused', 'draining', 'dry', 'prepared'] as const) {
        const card = await (scene as Scene).open();
        const out = card.createPlaybackStream(STEREO);
        const closed = closing(out);
        if (at === 'draining') out.end(noise(9600 * FRAME));
        else out.write(noise((at === 'prepared' ? 100 : at === 'dry' ? 9600 : 48_000) * FRAME));
        await clock.advance(at === 'dry' ? 20_000 : 3000);
        if (at === 'paused') await (scene as Scene).until(out.trigger('pause'));
        await (scene as Scene).until(card.close());
        await closed;
        expect(peer.complaints()).toEqual([]);
      }
    });

    test('its process ends at once while it plays: STOP and CLOSE come before the state', async () => {
      await setUp();
      const { machine, clock, guest } = scene as Scene;
      for (let round = 0; round < 3; round++) {
        const process = machine.startProcess(guest.domid);
        const card = await (scene as Scene).until(openCard({ hypervisor: process }));
        const out = card.createPlaybackStream(STEREO);
        out.on('error', () => {});
        out.write(noise(SECOND * FRAME));
        await clock.advance(3000);
        card.leaveNow();
        await machine.settle(); // what was written to the kernel gets through
        process.exit();
        await machine.settle();
      }
    });

    test('its process is killed while it plays: the next one comes when that has been played', async () => {
      await setUp();
      const { machine, clock, guest, peer } = scene as Scene;
      const process = machine.startProcess(guest.domid);
      const card = await (scene as Scene).until(openCard({ hypervisor: process }));
      card.createPlaybackStream(STEREO).write(noise(SECOND * FRAME));
      await clock.advance(3000);
      process.exit();
      const next = await (scene as Scene).open();
      const out = next.createPlaybackStream(STEREO);
      const closed = closing(out);
      out.end(noise(SECOND * FRAME, 2));
      expect(await (scene as Scene).until(closed)).toBeUndefined();
      expect(peer.heard(FIRST, peer.takes(FIRST) - 1).equals(noise(SECOND * FRAME, 2))).toBe(true);
    });

    test('says what can be set, and leaves no host device open', async () => {
      const { scene, card, out, closed } = await play();
      const answer = await scene.until(card.queryHwParams({ type: 'capture' }));
      expect(answer.rates).toEqual(card.info.pcmDevices[0]?.streams[2]?.rates);
      out.destroy();
      await scene.until(closed);
    });

    test('volume: has it, or says that the backend has none, and plays on', async () => {
      const { scene, peer, out, closed } = await play();
      feed(out, noise(SECOND * FRAME));
      const set = scene.until(out.setVolume(0));
      if (profile.hasVolume) await set;
      else await expect(set).rejects.toMatchObject({ code: 'ERR_VSND_NOT_SUPPORTED' });
      expect(await scene.until(closed)).toBeUndefined();
      expect(peer.heard(FIRST).equals(noise(SECOND * FRAME))).toBe(true);
    });

    test('a guest that stands still for long finds its event page full, and goes on', async () => {
      const { scene, peer, out, closed } = await play({}, { bufferFrames: 4800, periodFrames: 96 });
      const { guest, machine, clock } = scene;
      const source = noise(2 * SECOND * FRAME);
      feed(out, source);
      await clock.advance(3000);
      const letThrough = machine.faults.holdNotifications({ domid: guest.domid });
      await clock.advance(SECOND);
      letThrough();
      expect(await scene.until(closed)).toBeUndefined();
      expect(out.position).toBe(2 * SECOND);
      if (!profile.skipsLateData) expect(peer.heard(FIRST).equals(source)).toBe(true);
    });

    test('a guest that stands still for long while it captures has lost some, and goes on', async () => {
      const { scene, peer, card, out } = await play();
      const { guest, machine, clock } = scene;
      out.destroy();
      const input = card.createCaptureStream({ ...STEREO, bufferFrames: 4800, periodFrames: 480 });
      const source = noise(10 * SECOND * FRAME);
      peer.say(MIC, source);
      const chunks = collect(input);
      for (const stillFor of [0.09, 0.1, 0.11, 0.5]) {
        await clock.advance(SECOND);
        const letThrough = machine.faults.holdNotifications({ domid: guest.domid });
        await clock.advance(stillFor * SECOND);
        letThrough();
      }
      await clock.advance(SECOND);
      expect([input.state, input.overruns > 0]).toEqual(['running', true]);
      const last = Buffer.concat(chunks).subarray(-0.5 * SECOND * FRAME);
      expect(source.includes(last)).toBe(true);
    });

    test('killed, and its frontend closes the card as the next one comes: that one serves the next card', async () => {
      const { scene, peer, card, out, closed } = await play();
      out.write(noise(SECOND * FRAME));
      await scene.clock.advance(3000);
      peer.kill();
      const leaving = closed.then(() => card.close()); // as a program does that ends with its stream
      await peer.restart();
      await scene.until(leaving);
      const next = await scene.open();
      const stream = next.createPlaybackStream(STEREO);
      const streamClosed = closing(stream);
      stream.end(noise(SECOND * FRAME, 2));
      expect(await scene.until(streamClosed)).toBeUndefined();
      expect(peer.heard(FIRST, peer.takes(FIRST) - 1).equals(noise(SECOND * FRAME, 2))).toBe(true);
    });

    describe.each<RestartOrder>(['reads our state first', 'closes first'])(
      'killed, and started again by one that %s',
      (order) => {
        test.each([0, 100, 500, 1000, 3500])('after %i ms: plays and captures on', async (away) => {
          const { scene, peer, card, out, closed } = await play({ reconnect: true });
          const source = noise(30 * SECOND * FRAME);
          const cuts: { take: number; frames: number }[] = [];
          const reconnects: number[] = [];
          out.on('disconnect', ({ frames }) => cuts.push({ take: peer.takes(FIRST) - 1, frames }));
          out.on('reconnect', ({ frames }) => reconnects.push(frames));
          feed(out, source);
          const input = card.createCaptureStream(STEREO);
          const chunks = collect(input);
          for (let round = 0; round < 3; round++) {
            peer.say(MIC, noise(SECOND * FRAME, 10 + round));
            await scene.clock.advance(20_000);
            peer.kill();
            await scene.clock.advanceTime(away * 1e6);
            await peer.restart(order);
            await scene.clock.advanceTime(8e9);
            expect([round, card.connected, out.state, input.state]).toEqual([
              round,
              true,
              'running',
              'running',
            ]);
          }
          expect(await scene.until(closed)).toBeUndefined();
          expect(reconnects).toEqual(cuts.map(({ frames }) => frames));
          expect([out.position, cuts.length]).toEqual([30 * SECOND, 3]);
          const parts = [...cuts, { frames: 30 * SECOND }].map(({ frames }, take) =>
            peer.heard(FIRST, take).subarray(0, (frames - (cuts[take - 1]?.frames ?? 0)) * FRAME),
          );
          expect(Buffer.concat(parts).equals(source)).toBe(true);
          const captured = Buffer.concat(chunks);
          for (let round = 0; round < 3; round++)
            expect(captured.includes(noise(1000 * FRAME, 10 + round))).toBe(true);
          const inputClosed = closing(input);
          input.destroy();
          await scene.until(inputClosed);
        });
      },
    );
  });
}
