import { describe, expect, test } from 'vitest';
import { matchesPattern, parseRoute } from '../../src/backend/routes.ts';

describe('a route', () => {
  test.each([
    ['radio=null', 'radio', 'null'],
    ['=null', '', 'null'],
    ['*=speaker', '*', 'speaker'],
    ['alsa<plughw:CARD=PCH;DEV=0>=null', 'alsa<plughw:CARD=PCH;DEV=0>', 'null'],
    ['a=exec:b=null', 'a', 'exec'],
    ['a=b=wav:c=d', 'a=b', 'wav'],
    ['alsa*=alsa<hw:1;0>', 'alsa*', 'alsa'],
  ])('%s', (route, pattern, kind) => {
    expect(parseRoute(route)).toMatchObject({ pattern, sink: { kind } });
  });

  test.each([
    ['mic=silence', undefined, { kind: 'silence' }],
    ['mic=sine:440', undefined, { kind: 'sine', frequency: 440 }],
    ['out=speaker', { kind: 'speaker' }, undefined],
    ['x=null', { kind: 'null' }, { kind: 'silence' }],
    ['x=wav:a.wav', { kind: 'wav', file: 'a.wav' }, { kind: 'wav', file: 'a.wav' }],
    ['x=exec:cat', { kind: 'exec', command: 'cat' }, { kind: 'exec', command: 'cat' }],
  ])('%s is for playback: %j, for capture: %j', (route, sink, source) => {
    expect(parseRoute(route)).toEqual({ pattern: route.slice(0, route.indexOf('=')), sink, source });
  });

  test.each(['', 'radio', 'radio=', 'radio=nul', 'null', 'radio:null'])('that is none: %j', (route) => {
    expect(() => parseRoute(route)).toThrow(
      /^--map is .*allowed: ID=SINK \(null, .*\), or ID=SOURCE \(silence, /,
    );
  });

  test('of which a placeholder is wrong says so', () => {
    expect(() => parseRoute('a=wav:{x}')).toThrow(/a placeholder of --map/);
  });

  test.each([
    ['radio', 'radio', true],
    ['radio', 'radio2', false],
    ['', '', true],
    ['', 'x', false],
    ['*', '', true],
    ['*', 'anything at all', true],
    ['radio*', 'radio', true],
    ['radio*', 'radi', false],
    ['*dio', 'radio', true],
    ['r*o', 'radio', true],
    ['ab*ba', 'aba', false],
    ['a*a', 'a', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['a**c', 'ac', true],
    ['*a*', 'bab', true],
    ['alsa<*>', 'alsa<hw:0;0>', true],
    ['a.c', 'abc', false],
    ['[a]', 'a', false],
  ])('%j and the id %j: %s', (pattern, id, fits) => {
    expect(matchesPattern(pattern, id)).toBe(fits);
  });

  test('takes no time for an id that was made to take it', () => {
    expect(matchesPattern(`${'*a'.repeat(50)}*b`, 'a'.repeat(2000))).toBe(false);
  });
});
