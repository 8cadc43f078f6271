import { describe, expect, test } from 'vitest';
import { liveStatus, plainStatus, type StreamProgress, volumeText } from '../../src/cli/status-line.ts';

const plain = { color: false, unicode: false };
const fancy = { color: true, unicode: true };

function underruns(count: number | undefined) {
  return { name: 'underruns', count } as const;
}

function status(changes: Partial<StreamProgress> = {}): StreamProgress {
  const progress = { elapsed: 2, total: 5.2, fill: 0.98, latency: 170.4, levels: [-6, -60] };
  return { ...progress, xruns: underruns(0), ...changes };
}

/** The line without its colours. */
function uncolored(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a colour begins with
  return line.replace(/\x1b\[\d+m/g, '');
}

describe('the live line', () => {
  test('shows all in 80 columns', () => {
    expect(liveStatus(status(), 80, plain)).toBe(
      '0:02 / 0:05 ==----  buffer  98%  latency 170 ms  underruns 0  L #####. R ......',
    );
  });

  test('shows the same with colours and lines', () => {
    const line = liveStatus(status(), 80, fancy);
    expect(uncolored(line)).toBe(
      '0:02 / 0:05 ━━────  buffer  98%  latency 170 ms  underruns 0  L █████░ R ░░░░░░',
    );
    expect(line).toContain('\x1b[36m━━\x1b[0m\x1b[90m────\x1b[0m');
  });

  test('never reaches the last column, and gives the bar what is left', () => {
    for (let width = 1; width < 200; width++) {
      const long = status({ elapsed: 3723, total: 7325, latency: 12_345, xruns: underruns(1234) });
      for (const state of [status(), long]) {
        expect(uncolored(liveStatus(state, width, fancy)).length).toBeLessThan(width);
      }
    }
    expect(liveStatus(status(), 100, plain).length).toBe(99);
    expect(liveStatus(status({ levels: [] }), 41, plain)).toBe('0:02 / 0:05 ======---------  buffer  98%');
    expect(liveStatus(status(), 19, plain)).toBe('0:02 / 0:05 ==----'.slice(0, 18));
    expect(liveStatus(status(), 8, plain)).toBe('0:02 / ');
  });

  test('colours meters by level, and underruns when there are any', () => {
    expect(liveStatus(status({ levels: [0] }), 120, fancy)).toContain(
      '\x1b[32m█\x1b[0m\x1b[32m█\x1b[0m\x1b[32m█\x1b[0m\x1b[32m█\x1b[0m\x1b[33m█\x1b[0m\x1b[31m█\x1b[0m',
    );
    expect(liveStatus(status(), 120, fancy)).toContain('  underruns 0');
    expect(liveStatus(status({ xruns: underruns(3) }), 120, fancy)).toContain('\x1b[31munderruns 3\x1b[0m');
  });

  test('a mono meter has no letter', () => {
    expect(liveStatus(status({ levels: [-1] }), 120, plain)).toMatch(/underruns 0 {2}######$/);
  });

  test('silence and full scale', () => {
    const meters = (levels: number[]) => liveStatus(status({ levels }), 120, plain).slice(-17);
    expect(meters([-Infinity, 0])).toBe('L ...... R ######');
    expect(meters([-44, 3])).toBe('L #..... R ######');
  });
});

describe('with no end in sight', () => {
  const recording = { total: undefined, xruns: { name: 'overruns', count: 2 } } as const;

  test('there is no bar', () => {
    expect(liveStatus(status(recording), 80, plain)).toBe(
      '0:02  buffer  98%  latency 170 ms  overruns 2  L #####. R ......',
    );
    expect(liveStatus(status(recording), 80, fancy)).toContain('\x1b[31moverruns 2\x1b[0m');
    expect(plainStatus(status(recording))).toBe('0:02.0  buffer  98%  latency 170 ms  overruns 2');
  });

  test('the last column is not reached either', () => {
    for (let width = 1; width < 100; width++) {
      expect(uncolored(liveStatus(status(recording), width, fancy)).length).toBeLessThan(width);
    }
    expect(liveStatus(status(recording), 19, plain)).toBe('0:02  buffer  98%');
    expect(liveStatus(status(recording), 4, plain)).toBe('0:0');
  });
});

describe('a volume', () => {
  test.each([
    [[-6, -6], [false, false], '-6 dB'],
    [[0], [false], '0 dB'],
    [[-6, -6], [true, true], '-6 dB muted'],
    [[-6, -6.5], [false, false], '0: -6 dB, 1: -6.5 dB'],
    [[-6, -6], [false, true], '0: -6 dB, 1: -6 dB muted'],
    [[], [], ''],
  ])('%j, muted %j', (volume, muted, text) => {
    expect(volumeText(volume, muted)).toBe(text);
  });
});

describe('the plain line', () => {
  test('has no control codes', () => {
    expect(plainStatus(status())).toBe('0:02.0 / 0:05.2  buffer  98%  latency 170 ms  underruns 0');
  });

  test('says that underruns have no meaning', () => {
    expect(plainStatus(status({ xruns: underruns(undefined) }))).toMatch(
      /underruns not counted \(unpaced\)$/,
    );
  });
});
