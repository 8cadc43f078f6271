import { expect, test } from 'vitest';
import { metricsUrl, parseMetricsAddress } from '../../src/metrics/address.ts';

test.each([
  ['9817', { host: '127.0.0.1', port: 9817 }, 'http://127.0.0.1:9817/metrics'],
  ['0', { host: '127.0.0.1', port: 0 }, 'http://127.0.0.1:0/metrics'],
  ['0.0.0.0:9817', { host: '0.0.0.0', port: 9817 }, 'http://0.0.0.0:9817/metrics'],
  ['dom0.example:65535', { host: 'dom0.example', port: 65_535 }, 'http://dom0.example:65535/metrics'],
  ['[::1]:9817', { host: '::1', port: 9817 }, 'http://[::1]:9817/metrics'],
  ['unix:/run/vsnd/metrics.sock', { path: '/run/vsnd/metrics.sock' }, 'unix:/run/vsnd/metrics.sock'],
])('%s', (text, address, url) => {
  expect(parseMetricsAddress(text)).toEqual(address);
  expect(metricsUrl(address)).toBe(url);
});

test.each([
  '',
  ':9817',
  '65536',
  '-1',
  '9817/metrics',
  'http://x:9817',
  '::1:9817',
  '[x]:9817',
  '[::1]',
  'a b:1',
])('%j is none, and what is allowed is said', (text) => {
  expect(() => parseMetricsAddress(text)).toThrow(
    `--metrics is ${JSON.stringify(text)}; allowed: PORT (0 to 65535; 0: any that is free), HOST:PORT, [IPV6]:PORT, unix:PATH; `,
  );
});

test.each(['unix:', `unix:/${'x'.repeat(107)}`, 'unix:/a\0b'])('%j is no path of a socket', (text) => {
  expect(() => parseMetricsAddress(text)).toThrow(/^PATH of --metrics unix:PATH is .*; allowed: 1 to 107/);
});
