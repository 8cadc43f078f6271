import { describe, expect, it } from 'vitest';
import {
  describeXenbusState,
  forEveryState,
  formatXenbusState,
  parseXenbusState,
  XenbusState,
  type XenbusStateName,
} from '../../src/xenbus/state.ts';
import { golden } from '../golden/golden.ts';

const states = Object.entries(golden.xenbusStates) as [XenbusStateName, number][];

describe('the states of xenbus', () => {
  it("are xenbus.h's nine", () => {
    expect(XenbusState).toEqual(golden.xenbusStates);
    expect(states).toHaveLength(9);
  });

  it.each(states)('%s is %i, written, read and named', (name, number) => {
    expect(formatXenbusState(name)).toBe(String(number));
    expect(parseXenbusState(String(number))).toBe(name);
    expect(describeXenbusState(name)).toBe(`${name} (${number})`);
  });

  it('are gone where there is no node', () => {
    expect(parseXenbusState(undefined)).toBe('Gone');
    expect(describeXenbusState('Gone')).toBe('gone');
  });

  it.each(['', '9', '99', '04', '4\n', ' 4', '-1', '+4', '4.0', '0x4', 'abc', 'Connected', '٤', '4\0'])(
    'are unknown where the node says %j',
    (value) => {
      expect(parseXenbusState(value)).toBe('Unknown');
    },
  );

  it('make rows with a cell for each of them, and for none', () => {
    const row = forEveryState('same');
    expect(Object.keys(row).sort()).toEqual([...states.map(([name]) => name), 'Gone'].sort());
    expect(new Set(Object.values(row))).toEqual(new Set(['same']));
  });
});
