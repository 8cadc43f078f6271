import { readdirSync, readFileSync } from 'node:fs';
import { formatLabels, type MetricFamily } from './exposition.ts';

/** What is known of this process: by the names that Prometheus has for all programs, and its version. */
export function processMetrics(version: string): MetricFamily[] {
  const { user, system } = process.cpuUsage();
  const gauge = (name: string, help: string, value: number | undefined): MetricFamily => ({
    name: `process_${name}`,
    type: 'gauge',
    help,
    samples: value === undefined ? [] : [['', value]],
  });
  return [
    {
      name: 'vsnd_build',
      type: 'info',
      help: 'The versions of vsnd and of Node.',
      samples: [[formatLabels({ version, node: process.versions.node }), 1]],
    },
    {
      name: 'process_cpu_seconds',
      type: 'counter',
      unit: 'seconds',
      help: 'CPU time of the process.',
      samples: [['', (user + system) / 1e6]],
    },
    {
      ...gauge('resident_memory_bytes', 'Memory that the process has in RAM.', process.memoryUsage.rss()),
      unit: 'bytes',
    },
    {
      ...gauge('start_time_seconds', 'When the process began, since 1970.', performance.timeOrigin / 1e3),
      unit: 'seconds',
    },
    gauge('open_fds', 'Open files, sockets and devices.', openFiles()),
    gauge('max_fds', 'How many may be open.', mostOpenFiles()),
  ];
}

/** Undefined off Linux. */
function openFiles(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length - 1; // less that of the directory itself
  } catch {
    return undefined;
  }
}

/** Undefined off Linux. */
function mostOpenFiles(): number | undefined {
  try {
    const [, soft] = /^Max open files +(\w+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    return soft === 'unlimited' ? Infinity : Number(soft);
  } catch {
    return undefined;
  }
}
