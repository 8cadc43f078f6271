import type { ConfigNode } from '../../src/config/card.ts';

/** Reads lines as sndif.h writes them: `/a/path/name = "value"`. Other lines are comments. */
export function parseLines(text: string): [path: string, value: string][] {
  return [...text.matchAll(/^\s*(\/\S+) = "(.*)"$/gm)].map(([, path = '', value = '']) => [path, value]);
}

/** What lies below `card` as a tree: numbers are nodes, all else is a field. */
export function nodeOf(lines: readonly (readonly [string, string])[], card: string): ConfigNode {
  const below = lines
    .filter(([path]) => path.startsWith(`${card}/`))
    .map(([path, value]) => [path.slice(card.length + 1), value] as const);
  const children = new Set(below.flatMap(([path]) => /^(\d+)\//.exec(path)?.[1] ?? []));
  return {
    fields: Object.fromEntries(below.filter(([path]) => !path.includes('/'))),
    children: [...children].sort().map((index) => nodeOf(lines, `${card}/${index}`)),
  };
}

/** The card of sndif.h's example configuration. */
export const EXAMPLE_CARD = '/local/domain/1/device/vsnd/0';

/** The frontend's part of sndif.h's example configuration, node by node. */
export const EXAMPLE = parseLines(`
  /local/domain/1/device/vsnd/0/backend-id = "0"
  /local/domain/1/device/vsnd/0/backend = "/local/domain/0/backend/vsnd/1/0"
  /local/domain/1/device/vsnd/0/state = "4"
  /local/domain/1/device/vsnd/0/version = "1"
Card configuration
  /local/domain/1/device/vsnd/0/short-name = "Card short name"
  /local/domain/1/device/vsnd/0/long-name = "Card long name"
  /local/domain/1/device/vsnd/0/sample-rates = "8000,32000,44100,48000,96000"
  /local/domain/1/device/vsnd/0/sample-formats = "s8,u8,s16_le,s16_be"
  /local/domain/1/device/vsnd/0/buffer-size = "262144"
PCM device 0
  /local/domain/1/device/vsnd/0/0/name = "General analog"
  /local/domain/1/device/vsnd/0/0/channels-max = "5"
Stream 0, playback
  /local/domain/1/device/vsnd/0/0/0/type = "p"
  /local/domain/1/device/vsnd/0/0/0/sample-formats = "s8,u8"
  /local/domain/1/device/vsnd/0/0/0/unique-id = "0"
  /local/domain/1/device/vsnd/0/0/0/ring-ref = "386"
  /local/domain/1/device/vsnd/0/0/0/event-channel = "15"
  /local/domain/1/device/vsnd/0/0/0/evt-ring-ref = "1386"
  /local/domain/1/device/vsnd/0/0/0/evt-event-channel = "215"
Stream 1, capture
  /local/domain/1/device/vsnd/0/0/1/type = "c"
  /local/domain/1/device/vsnd/0/0/1/channels-max = "2"
  /local/domain/1/device/vsnd/0/0/1/unique-id = "1"
  /local/domain/1/device/vsnd/0/0/1/ring-ref = "384"
  /local/domain/1/device/vsnd/0/0/1/event-channel = "13"
  /local/domain/1/device/vsnd/0/0/1/evt-ring-ref = "1384"
  /local/domain/1/device/vsnd/0/0/1/evt-event-channel = "213"
PCM device 1
  /local/domain/1/device/vsnd/0/1/name = "HDMI-0"
  /local/domain/1/device/vsnd/0/1/sample-rates = "8000,32000,44100"
Stream 0, capture
  /local/domain/1/device/vsnd/0/1/0/type = "c"
  /local/domain/1/device/vsnd/0/1/0/unique-id = "2"
  /local/domain/1/device/vsnd/0/1/0/ring-ref = "387"
  /local/domain/1/device/vsnd/0/1/0/event-channel = "151"
  /local/domain/1/device/vsnd/0/1/0/evt-ring-ref = "1387"
  /local/domain/1/device/vsnd/0/1/0/evt-event-channel = "351"
PCM device 2
  /local/domain/1/device/vsnd/0/2/name = "SPDIF"
Stream 0, playback
  /local/domain/1/device/vsnd/0/2/0/type = "p"
  /local/domain/1/device/vsnd/0/2/0/unique-id = "3"
  /local/domain/1/device/vsnd/0/2/0/ring-ref = "389"
  /local/domain/1/device/vsnd/0/2/0/event-channel = "152"
  /local/domain/1/device/vsnd/0/2/0/evt-ring-ref = "1389"
  /local/domain/1/device/vsnd/0/2/0/evt-event-channel = "452"
`);

const CARD_LIMITS = {
  rates: [8000, 32000, 44100, 48000, 96000],
  formats: ['s8', 'u8', 's16_le', 's16_be'],
  bufferBytes: 262_144,
};

/** What sndif.h's rules make of it. */
export const EXAMPLE_CONFIG = {
  warnings: [],
  path: EXAMPLE_CARD,
  shortName: 'Card short name',
  longName: 'Card long name',
  pcmDevices: [
    {
      index: 0,
      name: 'General analog',
      streams: [
        {
          ...CARD_LIMITS,
          index: 0,
          type: 'playback',
          uniqueId: '0',
          path: `${EXAMPLE_CARD}/0/0`,
          formats: ['s8', 'u8'],
          channels: { min: 1, max: 5 },
        },
        {
          ...CARD_LIMITS,
          index: 1,
          type: 'capture',
          uniqueId: '1',
          path: `${EXAMPLE_CARD}/0/1`,
          channels: { min: 1, max: 2 },
        },
      ],
    },
    {
      index: 1,
      name: 'HDMI-0',
      streams: [
        {
          ...CARD_LIMITS,
          index: 0,
          type: 'capture',
          uniqueId: '2',
          path: `${EXAMPLE_CARD}/1/0`,
          rates: [8000, 32000, 44100],
          channels: { min: 1, max: 8 },
        },
      ],
    },
    {
      index: 2,
      name: 'SPDIF',
      streams: [
        {
          ...CARD_LIMITS,
          index: 0,
          type: 'playback',
          uniqueId: '3',
          path: `${EXAMPLE_CARD}/2/0`,
          channels: { min: 1, max: 8 },
        },
      ],
    },
  ],
};
