import { describe, expect, test } from 'vitest';
import {
  type ExpositionFormat,
  formatLabels,
  formatMetrics,
  type MetricFamily,
  type Sample,
} from '../../src/metrics/exposition.ts';
import { understand } from '../../src/metrics/http.ts';

const FAMILIES: readonly MetricFamily[] = [
  {
    name: 'vsnd_stream_frames',
    type: 'counter',
    help: 'Frames.',
    samples: [
      [formatLabels({ domid: 1, type: 'playback' }), 2 ** 53],
      ['', 0],
    ],
  },
  { name: 'vsnd_gap_seconds', type: 'gauge', unit: 'seconds', help: 'Gap.', samples: [['', 1.5e-7]] },
  { name: 'vsnd_build', type: 'info', help: 'Versions.', samples: [[formatLabels({ node: '20' }), 1]] },
  { name: 'vsnd_limit', type: 'gauge', help: 'None yet.', samples: [] },
];

const textOf = (families: readonly MetricFamily[], format: ExpositionFormat) =>
  [...formatMetrics(families, format)].join('');

describe('families as text', () => {
  test('OpenMetrics', () => {
    expect(textOf(FAMILIES, 'openmetrics')).toBe(
      [
        '# TYPE vsnd_stream_frames counter',
        '# HELP vsnd_stream_frames Frames.',
        'vsnd_stream_frames_total{domid="1",type="playback"} 9007199254740992',
        'vsnd_stream_frames_total 0',
        '# TYPE vsnd_gap_seconds gauge',
        '# UNIT vsnd_gap_seconds seconds',
        '# HELP vsnd_gap_seconds Gap.',
        'vsnd_gap_seconds 1.5e-7',
        '# TYPE vsnd_build info',
        '# HELP vsnd_build Versions.',
        'vsnd_build_info{node="20"} 1',
        '# TYPE vsnd_limit gauge',
        '# HELP vsnd_limit None yet.',
        '# EOF\n',
      ].join('\n'),
    );
  });

  test('the older format: full names, no units, no type for infos, no end', () => {
    expect(textOf(FAMILIES, 'prometheus')).toBe(
      [
        '# TYPE vsnd_stream_frames_total counter',
        '# HELP vsnd_stream_frames_total Frames.',
        'vsnd_stream_frames_total{domid="1",type="playback"} 9007199254740992',
        'vsnd_stream_frames_total 0',
        '# TYPE vsnd_gap_seconds gauge',
        '# HELP vsnd_gap_seconds Gap.',
        'vsnd_gap_seconds 1.5e-7',
        '# TYPE vsnd_build_info gauge',
        '# HELP vsnd_build_info Versions.',
        'vsnd_build_info{node="20"} 1',
        '# TYPE vsnd_limit gauge',
        '# HELP vsnd_limit None yet.\n',
      ].join('\n'),
    );
  });

  test.each([
    [Infinity, '+Inf'],
    [-Infinity, '-Inf'],
    [Number.NaN, 'NaN'],
    [-0.5, '-0.5'],
    [1e21, '1e+21'],
  ])('%d', (value, text) => {
    const family: MetricFamily = { name: 'x', type: 'gauge', help: 'X.', samples: [['', value]] };
    expect(textOf([family], 'prometheus')).toBe(`# TYPE x gauge\n# HELP x X.\nx ${text}\n`);
  });

  test('many lines come in pieces, which are made when they are asked for', () => {
    let made = 0;
    const samples = (function* (): Generator<Sample> {
      for (; made < 1000; made++) yield [formatLabels({ made }), made];
    })();
    const family: MetricFamily = { name: 'x', type: 'gauge', help: 'X.', samples };
    const pieces = formatMetrics([family], 'openmetrics');
    const first = pieces.next().value;
    expect(made).toBeLessThan(256);
    const text = [first, ...pieces].join('');
    expect(text.split('\n')).toHaveLength(1000 + 4);
    expect(text).toMatch(/^x\{made="999"\} 999\n# EOF\n$/m);
  });

  test('a label is quoted', () => {
    expect(formatLabels({ a: 'x"y\\z\nw' })).toBe('a="x\\"y\\\\z\\nw"');
  });
});

describe('a request', () => {
  const get = (accept?: string) =>
    `GET /metrics HTTP/1.1\r\nHost: x${accept === undefined ? '' : `\r\nAccept: ${accept}`}`;

  test.each<[head: string, format: ExpositionFormat]>([
    [get(), 'openmetrics'],
    [get('*/*'), 'openmetrics'],
    [get('text/html,*/*;q=0.8'), 'openmetrics'],
    // As Prometheus 2.42 asks.
    [
      get('application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'),
      'openmetrics',
    ],
    [get('text/plain;version=0.0.4'), 'prometheus'],
    [get('text/plain;version=0.0.4;q=1,*/*;q=0.1'), 'prometheus'],
    [get('text/plain;version=0.0.4;q=0.5,*/*;q=0.4'), 'prometheus'],
    [get('text/plain').replace('Accept', 'accept'), 'prometheus'],
    [get().replace('/metrics', '/metrics?guest=1'), 'openmetrics'],
    ['GET /metrics HTTP/1.0', 'openmetrics'],
  ])('%j: %s', (head, format) => {
    expect(understand(head)).toBe(format);
  });

  test.each([
    ['', 400],
    ['GET /metrics', 400],
    ['GET /metrics HTTP/2.0', 400],
    ['get /metrics HTTP/1.1', 400],
    ['\x16\x03\x01', 400],
    ['GET / HTTP/1.1', 404],
    ['GET /metrics/ HTTP/1.1', 404],
    ['GET /metrics/../etc HTTP/1.1', 404],
    ['POST / HTTP/1.1', 404],
    ['POST /metrics HTTP/1.1', 405],
    ['HEAD /metrics HTTP/1.1', 405],
  ])('%j: %d', (head, status) => {
    expect(understand(head)).toBe(status);
  });
});
