import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CardConfig,
  type ConfigNode,
  parseCardConfig,
  type StreamConfig,
  streamsOf,
} from '../../src/config/card.ts';
import {
  completeLimits,
  Field,
  type Fields,
  narrowLimits,
  type SaidLimits,
} from '../../src/config/fields.ts';
import { ConfigWarnings } from '../../src/config/warnings.ts';
import { isVsndError } from '../../src/errors.ts';
import type { StreamLimits } from '../../src/pcm/hw-params.ts';
import { PCM_FORMATS } from '../../src/wire/pcm-format.ts';
import { thrownBy } from '../wire/support.ts';
import { EXAMPLE, EXAMPLE_CARD, EXAMPLE_CONFIG, nodeOf } from './nodes.ts';

/** A card with one PCM device and one stream: fields of the three levels. */
function cardOf(card: Fields, pcm: Fields = {}, stream: Fields = {}): ConfigNode {
  const children = [{ fields: pcm, children: [{ fields: { type: 'p', ...stream }, children: [] }] }];
  return { fields: card, children };
}

/** What there is to say about {@link cardOf}. */
function warningsOf(...levels: Parameters<typeof cardOf>): string[] {
  return parseCardConfig(cardOf(...levels), '/c').warnings.map(({ message }) => message);
}

/** The one stream of {@link cardOf}. */
function streamOf(...levels: Parameters<typeof cardOf>): StreamConfig {
  const stream = parseCardConfig(cardOf(...levels), '/c').pcmDevices[0]?.streams[0];
  if (stream === undefined) throw new Error('there is no stream');
  return stream;
}

describe('the configuration of a card', () => {
  it("is understood as sndif.h's example means it", () => {
    expect(parseCardConfig(nodeOf(EXAMPLE, EXAMPLE_CARD), EXAMPLE_CARD)).toEqual(EXAMPLE_CONFIG);
  });

  it('may have no PCM devices, no streams, no names and no unique-id', () => {
    const nothing = { fields: {}, children: [] };
    expect(parseCardConfig(nothing, '/c')).toEqual({
      path: '/c',
      shortName: undefined,
      longName: undefined,
      pcmDevices: [],
      warnings: [],
    });
    expect(parseCardConfig({ fields: {}, children: [nothing] }, '/c').pcmDevices).toEqual([
      { index: 0, name: undefined, streams: [] },
    ]);
    expect(streamOf({}).uniqueId).toBe('');
  });

  it('takes names and identifiers as they are', () => {
    const name = ' Ünïcode\u0007 "name" '.repeat(20);
    const card = parseCardConfig(
      cardOf({ 'short-name': name, 'long-name': '' }, { name }, { 'unique-id': 'alsa<hw:0;0>' }),
      '/c',
    );
    expect(card).toMatchObject({
      shortName: name,
      longName: '',
      pcmDevices: [{ name, streams: [{ uniqueId: 'alsa<hw:0;0>' }] }],
    });
  });

  it('has defaults for what no level says', () => {
    expect(streamOf({})).toEqual({
      index: 0,
      type: 'playback',
      uniqueId: '',
      path: '/c/0/0',
      rates: [5512, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000],
      formats: PCM_FORMATS.filter(({ name }) => !/^(ima_adpcm|mpeg|gsm)$/.test(name)).map(({ name }) => name),
      channels: { min: 1, max: 8 },
      bufferBytes: 65_536,
    });
    expect(streamOf({ 'channels-min': '3' }).channels).toEqual({ min: 3, max: 8 });
    expect(streamOf({ 'channels-min': '12' }).channels).toEqual({ min: 12, max: 12 });
    expect(streamOf({ 'channels-max': '255' }).channels).toEqual({ min: 1, max: 255 });
  });

  it.each(['p', 'P', ' p'])('has playback streams: type %j', (type) => {
    expect(streamOf({}, {}, { type }).type).toBe('playback');
  });

  it.each(['c', 'C'])('has capture streams: type %j', (type) => {
    expect(streamOf({}, {}, { type }).type).toBe('capture');
  });

  it.each([undefined, '', 'playback', 'pc', 'x'])('refuses a stream of type %j', (type) => {
    const found = type === undefined ? 'missing' : JSON.stringify(type);
    expect(thrownBy(() => streamOf({}, {}, { type }))).toMatchObject({
      code: 'ERR_VSND_CONFIG',
      path: '/c/0/0/type',
      message: `/c/0/0/type is ${found}; allowed: "p" (playback) or "c" (capture)`,
    });
  });
});

describe('a level', () => {
  it('inherits what it does not say itself, each field by itself', () => {
    const stream = streamOf(
      { 'sample-rates': '48000,8000', 'buffer-size': '4096' },
      { 'sample-formats': 's16_le', 'channels-max': '6' },
      { 'channels-min': '2' },
    );
    expect(stream).toMatchObject({
      rates: [8000, 48000],
      formats: ['s16_le'],
      channels: { min: 2, max: 6 },
      bufferBytes: 4096,
    });
  });

  it('can only narrow: what it adds is left out', () => {
    const stream = streamOf(
      {
        'sample-rates': '8000,48000',
        'sample-formats': 's8,u8',
        'channels-min': '2',
        'channels-max': '4',
        'buffer-size': '4096',
      },
      {
        'sample-rates': '96000,48000',
        'sample-formats': 'u8,s16_le',
        'channels-min': '1',
        'channels-max': '8',
        'buffer-size': '8192',
      },
      { 'channels-max': '3', 'buffer-size': '2048' },
    );
    expect(stream).toMatchObject({
      rates: [48000],
      formats: ['u8'],
      channels: { min: 2, max: 3 },
      bufferBytes: 2048,
    });
  });

  it('narrows for itself alone: its siblings are not concerned', () => {
    const stream = (fields: Fields) => ({ fields: { type: 'p', ...fields }, children: [] });
    const { pcmDevices } = parseCardConfig(
      {
        fields: { 'channels-max': '6' },
        children: [
          { fields: { 'channels-max': '2' }, children: [stream({ 'sample-rates': '8000' }), stream({})] },
          { fields: {}, children: [stream({ 'sample-rates': '48000' })] },
        ],
      },
      '/c',
    );
    const found = pcmDevices.map(({ streams }) =>
      streams.map(({ channels, rates }) => [channels.max, rates.length === 1 ? rates[0] : 'all']),
    );
    expect(found).toEqual([
      [
        [2, 8000],
        [2, 'all'],
      ],
      [[6, 48000]],
    ]);
  });

  it('may set channels-min and channels-max to one number', () => {
    expect(streamOf({ 'channels-min': '2', 'channels-max': '2' }).channels).toEqual({ min: 2, max: 2 });
    expect(streamOf({ 'channels-max': '255' }, { 'channels-min': '255' }).channels).toEqual({
      min: 255,
      max: 255,
    });
  });

  it.each<[Fields, Fields, Partial<StreamLimits>, string]>([
    [
      { 'channels-min': '4', 'channels-max': '2' },
      {},
      { channels: { min: 2, max: 2 } },
      '/c/channels-max is "2": channels-min, 4, is above channels-max, 2; taken for it',
    ],
    [
      { 'channels-min': '4' },
      { 'channels-max': '2' },
      { channels: { min: 2, max: 2 } },
      '/c/0/channels-max is "2": channels-min, 4, is above channels-max, 2; taken for it',
    ],
    [
      { 'channels-max': '2' },
      { 'channels-min': '4' },
      { channels: { min: 2, max: 2 } },
      '/c/0/channels-min is "4": channels-min, 4, is above channels-max, 2; taken for it',
    ],
    [
      { 'sample-rates': '8000,48000' },
      { 'sample-rates': '44100,96000' },
      { rates: [44100, 96000] },
      '/c/0/sample-rates is "44100,96000": the level above has none of it; it holds all the same',
    ],
    [
      { 'sample-formats': 'f32_le' },
      { 'sample-formats': 's8' },
      { formats: ['s8'] },
      '/c/0/sample-formats is "s8": the level above has none of it; it holds all the same',
    ],
  ])(
    'that contradicts itself or the one above is fixed, and that is told: %o, then %o',
    (card, pcm, limits, message) => {
      expect(streamOf(card, pcm)).toMatchObject(limits);
      expect(warningsOf(card, pcm)).toEqual([message]);
    },
  );
});

describe('a list', () => {
  it("takes libxl's names for sndif.h's formats, and each format once", () => {
    const formats = (value: string) => streamOf({ 'sample-formats': value }).formats;
    expect(formats('f32_le,f32_be,f64_le,f64_be')).toEqual([
      'float_le',
      'float_be',
      'float64_le',
      'float64_be',
    ]);
    expect(formats('float_le,f32_le,s8,s8')).toEqual(['float_le', 's8']);
    expect(streamOf({ 'sample-formats': 'float_le,s8' }, { 'sample-formats': 'f32_le' }).formats).toEqual([
      'float_le',
    ]);
  });

  it.each(PCM_FORMATS)('takes $name by itself', ({ name }) => {
    expect(streamOf({ 'sample-formats': name }).formats).toEqual([name]);
  });

  it('has its rates in any order, once each, also with blanks around them', () => {
    const { rates } = streamOf({ 'sample-rates': '48000, 8000 ,44100,8000,4294967295,1' });
    expect(rates).toEqual([1, 8000, 44100, 48000, 4294967295]);
  });

  it.each([
    ['', [], ''],
    [',', [], ''],
    ['8000,', [8000], ''],
    [',8000', [8000], ''],
    ['8000;48000', [], '8000;48000'],
    ['8 000', [], '8 000'],
    ['48000,abc,-1', [48000], 'abc'],
    ['0', [], '0'],
    ['1e3,48000', [48000], '1e3'],
    ['0x10', [], '0x10'],
    ['44.1', [], '44.1'],
    ['4294967296', [], '4294967296'],
  ])('of rates takes of %j what can be understood, and names the rest', (value, rates, wrong) => {
    const all = completeLimits({}).rates;
    expect(streamOf({}, {}, { 'sample-rates': value }).rates).toEqual(rates.length > 0 ? rates : all);
    const what = rates.length > 0 ? ', and is left out' : '; taken as if it were not there';
    expect(warningsOf({}, {}, { 'sample-rates': value })).toEqual([
      `/c/0/0/sample-rates is ${JSON.stringify(value)}: ${JSON.stringify(wrong)} is no rate in Hz${what}`,
    ]);
  });

  it.each([
    ['', [], ''],
    ['s8,', ['s8'], ''],
    ['s16_le,weird', ['s16_le'], 'weird'],
    ['weird', [], 'weird'],
    ['s16', [], 's16'],
    ['f32,s8', ['s8'], 'f32'],
    ['s8 u8', [], 's8 u8'],
    ['__proto__', [], '__proto__'],
    ['s8\0', [], 's8\0'],
    ['\x1b[31m,u8', ['u8'], '\x1b[31m'],
  ])('of formats takes of %j what can be understood, and names the rest', (value, formats, wrong) => {
    expect(streamOf({ 'sample-formats': value }).formats).toEqual(
      formats.length > 0 ? formats : completeLimits({}).formats,
    );
    const what = formats.length > 0 ? ', and is left out' : '; taken as if it were not there';
    expect(warningsOf({ 'sample-formats': value })).toEqual([
      `/c/sample-formats is ${JSON.stringify(value)}: ${JSON.stringify(wrong)} is no format${what}`,
    ]);
  });

  it.each(['S16_LE', 's16_Le', ' F32_LE '])('of formats takes any case: %j', (value) => {
    expect(streamOf({ 'sample-formats': value }).formats).toHaveLength(1);
    expect(warningsOf({ 'sample-formats': value })).toEqual([]);
  });

  it('that is understood in no part leaves the level above in force', () => {
    const levels = [{ 'sample-rates': '48000,8000' }, { 'sample-rates': 'weird' }, {}] as const;
    expect(streamOf(...levels).rates).toEqual([8000, 48000]);
  });

  it('is quoted only from its beginning where it is long', () => {
    const text = JSON.stringify('x'.repeat(80));
    expect(warningsOf({ 'sample-rates': 'x'.repeat(100_000) })).toEqual([
      `/c/sample-rates is ${text}: ${text} is no rate in Hz; taken as if it were not there`,
    ]);
  });
});

describe('the streams of a card', () => {
  const stream = (type: 'p' | 'c') => ({ fields: { type }, children: [] });
  const devices = [[stream('p')], [stream('c'), stream('p')], []];
  const card = parseCardConfig(
    { fields: {}, children: devices.map((children) => ({ fields: {}, children })) },
    '/c',
  );
  const found = (...choice: [Parameters<typeof streamsOf>[1]?]) =>
    streamsOf(card, ...choice).map(({ device, config }) => `${device}/${config.index}`);

  it('are found in their order, all or those of a kind and of a PCM device', () => {
    expect(found()).toEqual(['0/0', '1/0', '1/1']);
    expect(found({ type: 'playback' })).toEqual(['0/0', '1/1']);
    expect(found({ type: 'playback', device: 1 })).toEqual(['1/1']);
    expect(found({ type: 'capture', device: 0 })).toEqual([]);
    expect(found({ device: 2 })).toEqual([]);
  });
});

describe('warnings', () => {
  it('are one for each node, and not more than a person reads, whatever was written', () => {
    const stream = { fields: { type: 'p', 'buffer-size': '0' }, children: [] };
    const device = { fields: { 'channels-max': 'x' }, children: new Array(30).fill(stream) };
    const { warnings } = parseCardConfig({ fields: {}, children: new Array(10).fill(device) }, '/c');
    expect(warnings).toHaveLength(21);
    expect(warnings.at(-1)?.message).toBe("290 more of the card's nodes are not as they should be");
  });

  it('quote no more of an index behind a gap than of any value', () => {
    const astray = ['9'.repeat(2000)];
    expect(parseCardConfig({ fields: {}, children: [], astray }, '/c').warnings).toMatchObject([
      { message: `/c/0 is missing: what comes behind that gap, as "${'9'.repeat(80)}", is left out` },
    ]);
  });

  it('tell of a gap in the indexes, and of a PCM device without streams', () => {
    const empty = { fields: {}, children: [], astray: ['2', '7'] };
    expect(parseCardConfig({ fields: {}, children: [empty], astray: ['2'] }, '/c').warnings).toEqual([
      { path: '/c/1', message: '/c/1 is missing: what comes behind that gap, as "2", is left out' },
      { path: '/c/0/0', message: '/c/0/0 is missing: what comes behind that gap, as "2", is left out' },
      { path: '/c/0/0', message: '/c/0/0 is missing: a PCM device without streams, which can do nothing' },
    ]);
  });
});

describe('random configurations', () => {
  const text = fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom('1', '2', '6', '8', '16', '255') },
    { weight: 1, arbitrary: fc.constantFrom('-1', '1e3', '0', '', '256', 'NaN', '٤', '8\n') },
    { weight: 1, arbitrary: fc.string() },
  );
  const listOf = (...items: string[]) =>
    fc.oneof(
      { weight: 30, arbitrary: fc.subarray(items, { minLength: 1 }).map((all) => all.join(',')) },
      { weight: 1, arbitrary: text },
    );
  const fields = (type: fc.Arbitrary<string>) =>
    fc.record(
      {
        [Field.sampleRates]: listOf('8000', '44100', '48000', '96000'),
        [Field.sampleFormats]: listOf('s8', 's16_le', 'f32_le', 'float_le', 'gsm'),
        [Field.channelsMin]: text,
        [Field.channelsMax]: text,
        [Field.bufferSize]: text,
        [Field.type]: type,
      },
      { requiredKeys: [Field.type] },
    );
  const node = (type: fc.Arbitrary<string>, children: fc.Arbitrary<ConfigNode>) =>
    fc.record({ fields: fields(type), children: fc.array(children, { maxLength: 2 }) });
  const anything = fc.constant('');
  const type = fc.oneof({ weight: 20, arbitrary: fc.constantFrom('p', 'c') }, { weight: 1, arbitrary: text });
  const card = node(anything, node(anything, node(type, fc.constant({ fields: {}, children: [] }))));

  const levels = (tree: ConfigNode, config: CardConfig) =>
    config.pcmDevices.flatMap(({ index, streams }) =>
      streams.map((stream) => ({ stream, pcm: tree.children[index]?.fields ?? {}, card: tree.fields })),
    );

  function expectWithin(stream: StreamLimits, said: SaidLimits): void {
    expect(stream.channels.max).toBeLessThanOrEqual(said.channelsMax ?? 255);
    expect(stream.bufferBytes).toBeLessThanOrEqual(said.bufferBytes ?? 65_536);
  }

  /** Only a list that contradicts the one above may have something else. */
  function expectNarrowed(stream: StreamLimits, said: SaidLimits): void {
    expect(stream.rates.every((rate) => said.rates?.includes(rate) ?? true)).toBe(true);
    expect(stream.formats.every((format) => said.formats?.includes(format) ?? true)).toBe(true);
    expect(stream.channels.min).toBeGreaterThanOrEqual(said.channelsMin ?? 1);
  }

  it('give streams that lie within all levels above them, or ERR_VSND_CONFIG for a type, and nothing else', () => {
    let understood = 0;
    fc.assert(
      fc.property(card, (tree) => {
        let config: CardConfig;
        try {
          config = parseCardConfig(tree, '/c');
        } catch (error) {
          expect(isVsndError(error, 'ERR_VSND_CONFIG')).toBe(true);
          expect(error).toHaveProperty('path', expect.stringMatching(/^\/c\/.*type$/));
          return;
        }
        understood++;
        for (const { stream, pcm, card: top } of levels(tree, config)) {
          const cardSaid = narrowLimits({}, top, '/c', new ConfigWarnings());
          expectWithin(stream, cardSaid);
          expectWithin(stream, narrowLimits(cardSaid, pcm, '/c', new ConfigWarnings()));
          if (config.warnings.length === 0) expectNarrowed(stream, cardSaid);
          expect(stream.rates.length).toBeGreaterThan(0);
          expect(stream.formats.length).toBeGreaterThan(0);
          expect([...stream.rates]).toEqual([...new Set(stream.rates)].sort((a, b) => a - b));
          expect(stream.channels.min).toBeLessThanOrEqual(stream.channels.max);
          expect(stream.bufferBytes).toBeGreaterThan(0);
        }
      }),
      { numRuns: 500 },
    );
    expect(understood).toBeGreaterThan(50); // about 120 of 500; at 100 one run in hundreds fell below
  });
});
