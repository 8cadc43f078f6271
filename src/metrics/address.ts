import { isIPv6 } from 'node:net';
import { checkSocketPath } from '../control/places.ts';
import { invalidArgError } from '../errors.ts';

/** Where metrics are served. */
export type MetricsAddress = { readonly host: string; readonly port: number } | { readonly path: string };

const LOOPBACK = '127.0.0.1';

const ALLOWED =
  'PORT (0 to 65535; 0: any that is free), HOST:PORT, [IPV6]:PORT, unix:PATH; without HOST, only this machine is answered';

/** `[HOST:]PORT` or `unix:PATH`. Throws ERR_VSND_INVALID_ARG, also for a path that no socket can have. */
export function parseMetricsAddress(text: string): MetricsAddress {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    checkSocketPath(path, 'PATH of --metrics unix:PATH');
    return { path };
  }
  const [, ipv6, host, digits] = /^(?:(?:\[([^\]]+)\]|([\w.-]+)):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits ?? Number.NaN);
  if (!(port <= 65_535) || (ipv6 !== undefined && !isIPv6(ipv6)))
    throw invalidArgError('--metrics', text, ALLOWED);
  return { host: ipv6 ?? host ?? LOOPBACK, port };
}

/** What a person, or Prometheus, asks: http://127.0.0.1:9817/metrics. */
export function metricsUrl(address: MetricsAddress): string {
  if ('path' in address) return `unix:${address.path}`;
  const { host, port } = address;
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}/metrics`;
}
