import { describe, expect, test } from 'vitest';
import { parseSink, parseSource } from '../../src/backend/device-names.ts';

const INVALID = { code: 'ERR_VSND_INVALID_ARG' };

describe('the name of a sink', () => {
  test.each([
    ['null', { kind: 'null' }],
    ['speaker', { kind: 'speaker' }],
    ['wav:a b.wav', { kind: 'wav', file: 'a b.wav' }],
    ['wav:{domid}/{devid}-{pcm}-{stream}-{id}.wav', { kind: 'wav' }],
    ['exec:aplay -q | cat', { kind: 'exec', command: 'aplay -q | cat' }],
    ['alsa', { kind: 'alsa', device: undefined }],
    ['alsa<hw:0;0>', { kind: 'alsa', device: 'hw:0,0' }],
    ['pulse', { kind: 'pulse', device: undefined, properties: [] }],
    ['pulse<music>', { kind: 'pulse', device: 'music', properties: [] }],
  ])('%s', (name, sink) => {
    expect(parseSink(name)).toMatchObject(sink);
  });

  test.each(['', 'nul', 'NULL', 'wav', 'wav:', 'exec:', 'exec: ', 'alsa<a b>', 'pulse<', 'alsa:hw', 'null '])(
    'that is none: %j',
    (name) => {
      const thrown = expect.objectContaining({ ...INVALID, message: expect.stringContaining('--sink is') });
      expect(() => parseSink(name)).toThrow(thrown);
    },
  );

  test.each(['wav:{guest}.wav', 'wav:{}.wav', 'wav:{domid}{DEVID}', 'wav:{rate}'])(
    'with a placeholder that WAV files do not have: %s',
    (name) => {
      expect(() => parseSink(name)).toThrow(/a placeholder of --sink is .*allowed: \{domid\}/);
    },
  );

  test.each(['exec:play {id}', 'exec:play $VSND_ID'])(
    'that would show a shell what a guest wrote: %s',
    (name) => {
      expect(() => parseSink(name)).toThrow(/a command without \{id\}/);
    },
  );
});

describe('the name of a source', () => {
  test.each([
    ['silence', { kind: 'silence' }],
    ['null', { kind: 'silence' }],
    ['sine', { kind: 'sine', frequency: 1000 }],
    ['sine:440', { kind: 'sine', frequency: 440 }],
    ['sine:0.125', { kind: 'sine', frequency: 0.125 }],
    ['wav:a b.wav', { kind: 'wav', file: 'a b.wav' }],
    ['exec:cat {rate}.raw', { kind: 'exec', command: 'cat {rate}.raw' }],
    ['alsa', { kind: 'alsa', device: undefined }],
    ['alsa<dsnoop:0;1>', { kind: 'alsa', device: 'dsnoop:0,1' }],
    ['pulse<mic>media.role:phone', { kind: 'pulse', device: 'mic', properties: ['media.role=phone'] }],
  ])('%s', (name, source) => {
    expect(parseSource(name)).toEqual(expect.objectContaining(source));
  });

  test.each([
    '',
    'speaker',
    'Silence',
    'sine:',
    'sine:0',
    'sine:0.000',
    'sine:-1',
    'sine:1e3',
    'sine:1.2345',
  ])('that is none: %j', (name) => {
    const allowed = expect.stringMatching(
      /^--source is .*; allowed: silence, sine, sine:HZ, wav:FILE \(not -\), exec:/,
    );
    expect(() => parseSource(name)).toThrow(expect.objectContaining({ ...INVALID, message: allowed }));
  });

  test.each(['wav:{guest}.wav', 'exec:cat {id}', 'exec:cat $VSND_ID'])('that says too much: %s', (name) => {
    expect(() => parseSource(name)).toThrow(expect.objectContaining(INVALID));
  });
});
