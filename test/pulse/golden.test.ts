import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { chooseFormat, formatInfoOf } from '../../src/pulse/format-info.ts';
import { decodeRequest, type PulseRequest } from '../../src/pulse/requests.ts';
import { TagReader, textOf } from '../../src/pulse/tagged.ts';

/** Connections of programs of Debian 12, each with the commands that it sent: see record-golden.js. */
const GOLDEN: Readonly<Record<string, string[][]>> = JSON.parse(
  readFileSync(new URL('golden.json', import.meta.url), 'utf8'),
);

const STEREO = { spec: { format: 3, channels: 2, rate: 48_000 }, map: [1, 2] };

function decode(command: string): PulseRequest | undefined {
  const reader = new TagReader(Buffer.from(command, 'hex'));
  const number = reader.u32();
  reader.u32();
  return decodeRequest(number, reader);
}

/** What a program asked for, connection by connection. */
function requestsOf(program: string): PulseRequest[] {
  return (GOLDEN[program] ?? [])
    .flat()
    .map(decode)
    .filter((one) => one !== undefined);
}

function playbackOf(program: string) {
  const request = requestsOf(program).findLast(({ name }) => name === 'createPlaybackStream');
  if (request?.name !== 'createPlaybackStream') throw new Error(`${program} has no playback stream`);
  return request.fields;
}

describe('what real clients ask for', () => {
  test.each(Object.keys(GOLDEN))('%s: is understood, to the last byte', (program) => {
    const commands = GOLDEN[program]?.flat() ?? [];
    expect(commands.length).toBeGreaterThan(2);
    for (const command of commands) {
      const request = decode(command);
      expect(request, command.slice(0, 40)).toBeDefined();
    }
    expect(requestsOf(program)[0]).toEqual({ name: 'auth', fields: { version: 35 } });
  });

  test('paplay leaves the buffer to the server', () => {
    const { spec, map, attributes, isCorked, adjustLatency, properties, formats } = playbackOf('paplay');
    expect({ spec, map }).toEqual(STEREO);
    const open = 0xffff_ffff;
    expect(attributes).toEqual({ maxLength: open, targetLength: open, prebuffer: open, leastRequest: open });
    expect({ isCorked, adjustLatency, formats }).toEqual({
      isCorked: false,
      adjustLatency: false,
      formats: [],
    });
    expect(textOf(properties, 'media.role')).toBeUndefined();
  });

  test('paplay says the role of a stream', () => {
    expect(textOf(playbackOf('paplay with a role').properties, 'media.role')).toBe('navigation');
  });

  test('pacat says what latency it wants in all', () => {
    const { attributes, adjustLatency } = playbackOf('pacat, 20 ms');
    expect(attributes.targetLength).toBe(0.02 * 176_400);
    expect(adjustLatency).toBe(true);
  });

  test.each(['mpv', 'gst-launch'])(
    '%s has a list of formats, begins corked, and runs on while it is dry',
    (program) => {
      const { formats, isCorked, attributes, spec, volumes } = playbackOf(program);
      expect(spec).toEqual({ format: 255, channels: 0, rate: 0 });
      expect(volumes).toBeUndefined();
      expect(chooseFormat(formats, STEREO)).toEqual(STEREO);
      expect(isCorked).toBe(true);
      expect(attributes.prebuffer).toBe(0);
    },
  );
});

describe('a list of formats', () => {
  test('says what it was made from', () => {
    const surround = { spec: { format: 7, channels: 6, rate: 96_000 }, map: [1, 2, 5, 6, 3, 7] };
    expect(chooseFormat([formatInfoOf(surround)], STEREO)).toEqual(surround);
  });

  test('leaves to the server what it does not say, and is none without PCM', () => {
    expect(chooseFormat([{ encoding: 1, properties: new Map() }], STEREO)).toEqual(STEREO);
    expect(chooseFormat([{ encoding: 3, properties: new Map() }], STEREO)).toBeUndefined();
    const odd = new Map([['format.rate', Buffer.from('{"min": 8000\0')]]);
    expect(chooseFormat([{ encoding: 1, properties: odd }], STEREO)).toEqual(STEREO);
  });
});
