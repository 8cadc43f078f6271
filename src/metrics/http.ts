import { CONTENT_TYPES, type ExpositionFormat } from './exposition.ts';

const REASONS = {
  200: 'OK',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
} as const;

/** Why a request is not answered with metrics. */
export type HttpRefusal = Exclude<keyof typeof REASONS, 200>;

/** What a request asks for: metrics in a format, or nothing that there is. `head`: all before its empty line. */
export function understand(head: string): ExpositionFormat | HttpRefusal {
  const [, method, target = ''] = /^([A-Z]+) (\S+) HTTP\/1\.[01](?:\r\n|$)/.exec(head) ?? [];
  if (method === undefined) return 400;
  if (target.replace(/\?.*/, '') !== '/metrics') return 404;
  if (method !== 'GET') return 405;
  const [, accept = '*/*'] = /\r\naccept:([^\r]*)/i.exec(head) ?? [];
  // Those that know OpenMetrics name it: behind text/plain, */* is what a collector takes because it must.
  const knowsOnlyText = !/application\/openmetrics-text/i.test(accept) && /text\/plain/i.test(accept);
  return knowsOnlyText ? 'prometheus' : 'openmetrics';
}

/** The head of an answer with metrics of so many bytes. No connection has a second one. */
export function answerHead(format: ExpositionFormat, bytes: number): string {
  return headOf(200, CONTENT_TYPES[format], bytes);
}

/** A whole answer without metrics: what went wrong is nobody's business but the log's. */
export function refusal(status: HttpRefusal): string {
  const body = `${status} ${REASONS[status]}: GET /metrics is all that there is\n`;
  return (
    headOf(status, 'text/plain; charset=utf-8', body.length, status === 405 ? ['Allow: GET'] : []) + body
  );
}

function headOf(
  status: keyof typeof REASONS,
  type: string,
  bytes: number,
  more: readonly string[] = [],
): string {
  const fields = [`Content-Type: ${type}`, `Content-Length: ${bytes}`, 'Connection: close', ...more];
  return `HTTP/1.1 ${status} ${REASONS[status]}\r\n${fields.join('\r\n')}\r\n\r\n`;
}
