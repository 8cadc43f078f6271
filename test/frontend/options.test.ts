import { describe, expect, test } from 'vitest';
import { createFrameConverter } from '../../src/audio/frame-converter.ts';
import { openAudio } from '../../src/audio/open-audio.ts';
import { startEmulatedGuest } from '../../src/emulation/guest.ts';
import { type Card, createBridge, listCards, openCard, watchCards } from '../../src/index.ts';
import { Backend, createSoundCard, EmulatedMachine, startTestGuest } from '../../src/testing.ts';
import { STEREO } from '../sound.ts';
import { startCard } from './setup.ts';

async function withCard(body: (card: Card) => Promise<void>): Promise<void> {
  const { card } = await startCard({ capture: true });
  await body(card);
  await card.close();
}

const guestless = (): EmulatedMachine => new EmulatedMachine();

/** As JavaScript calls it, where nobody checks. */
const call = (method: unknown, self: unknown, ...args: unknown[]): unknown =>
  (method as (...args: unknown[]) => unknown).call(self, ...args);

const failure = async (action: () => unknown): Promise<unknown> => {
  try {
    await action();
    return undefined;
  } catch (error) {
    return error;
  }
};

describe('options by name', () => {
  const functions: [string, (card: unknown, options: unknown) => unknown][] = [
    ['openCard()', (_, options) => call(openCard, undefined, options)],
    ['listCards()', (_, options) => call(listCards, undefined, options)],
    ['watchCards()', (_, options) => (call(watchCards, undefined, options) as AsyncGenerator).next()],
    ['openAudio()', (_, options) => call(openAudio, undefined, '/nowhere', options)],
    ['createBridge()', (card, options) => call(createBridge, undefined, card, options)],
    ['Backend.start()', (_, options) => call(Backend.start, Backend, guestless().dom0, options)],
    [
      'createFrameConverter()',
      (_, options) => call(createFrameConverter, undefined, STEREO, STEREO, options),
    ],
    ['new EmulatedMachine()', (_, options) => Reflect.construct(EmulatedMachine, [options])],
    ['createDomain()', (_, options) => call(guestless().createDomain, guestless(), options)],
    ['createSoundCard()', (_, options) => call(createSoundCard, undefined, guestless(), options)],
    ['startTestGuest()', (_, options) => call(startTestGuest, undefined, options)],
    ['startEmulatedGuest()', (_, options) => call(startEmulatedGuest, undefined, options)],
    [
      'createPlaybackStream()',
      (card, options) => Reflect.get(Object(card), 'createPlaybackStream').call(card, options),
    ],
    [
      'createCaptureStream()',
      (card, options) => Reflect.get(Object(card), 'createCaptureStream').call(card, options),
    ],
    ['queryHwParams()', (card, options) => Reflect.get(Object(card), 'queryHwParams').call(card, options)],
  ];

  test.each(functions)('%s: one that there is not is named, with those that there are', (name, run) =>
    withCard(async (card) => {
      expect(await failure(() => run(card, { ...STEREO, sampelRate: 44_100 }))).toMatchObject({
        code: 'ERR_VSND_INVALID_ARG',
        message: expect.stringMatching(
          new RegExp(
            `^${name.replace('()', '\\(\\)').replace('.', '\\.')} has no option ".*"; allowed: .*\\w`,
          ),
        ),
      });
    }),
  );

  test.each(
    functions.flatMap(([name, run]) => [null, 'none', []].map((value) => [name, value, run] as const)),
  )('%s: %j instead of an object', (name, value, run) =>
    withCard(async (card) => {
      expect(await failure(() => run(card, value))).toMatchObject({
        code: 'ERR_VSND_INVALID_ARG',
        message: expect.stringContaining(`the options argument of ${name} is `),
      });
    }),
  );

  test('a stream without any', () =>
    withCard(async (card) => {
      const error = await failure(() => call(card.createPlaybackStream, card));
      expect(error).toMatchObject({
        code: 'ERR_VSND_INVALID_ARG',
        message: expect.stringMatching(
          /^the options argument of createPlaybackStream\(\) is undefined; allowed: an object with some of rate, /,
        ),
      });
    }));

  test.each([-144.001, 24.001, Number.NaN, Number.POSITIVE_INFINITY])('a volume of %s', (volume) =>
    withCard(async (card) => {
      const out = card.createPlaybackStream(STEREO);
      const error = await failure(() => call(out.setVolume, out, volume));
      expect(error).toMatchObject({
        code: 'ERR_VSND_INVALID_ARG',
        message: expect.stringContaining('-144 to 24 (dB)'),
      });
    }),
  );
});
