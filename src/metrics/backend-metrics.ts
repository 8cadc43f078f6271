import type { GuestStatus } from '../backend/guest.ts';
import type { RunningState } from '../backend/running-state.ts';
import type {
  BackendCardStatus,
  BackendStreamStatus,
  BackendXenStoreStatus,
  OpenStreamStatus,
} from '../backend/status.ts';
import { formatLabels, type MetricFamily, type Sample } from './exposition.ts';

type LimitStatus = GuestStatus['limits'][number];

/** What a backend says of itself. */
export interface BackendReadings {
  readonly status: readonly BackendCardStatus[];
  readonly guests: readonly GuestStatus[];
  readonly xenstore: BackendXenStoreStatus;
}

const STATES: readonly ('closed' | RunningState)[] = ['closed', 'stopped', 'running', 'paused'];

/**
 * What a backend's guests do, and what they may. Labels are numbers and the names of limits: nothing that a guest has
 * written. What a guest has had vanishes with it; a stream that its guest connects anew counts from 0, as a process that
 * is restarted does.
 */
export function backendMetrics({ status, guests, xenstore }: BackendReadings): MetricFamily[] {
  return [
    ...cardMetrics(status),
    ...streamMetrics(status),
    ...limitMetrics(guests),
    ...xenstoreMetrics(xenstore),
  ];
}

function cardMetrics(cards: readonly BackendCardStatus[]): MetricFamily[] {
  const connected = cards.map(
    ({ domid, devid, connected }): Sample => [formatLabels({ domid, devid }), Number(connected)],
  );
  return [
    {
      name: 'vsnd_card_connected',
      type: 'gauge',
      help: 'Whether the guest uses its card: 1, or 0.',
      samples: connected,
    },
  ];
}

function streamMetrics(cards: readonly BackendCardStatus[]): MetricFamily[] {
  const streams = cards.flatMap(({ domid, devid, streams }) =>
    streams.map((status) => {
      const { device, stream, type } = status;
      return { labels: formatLabels({ domid, devid, device, stream, type }), status };
    }),
  );
  const counter = (
    name: string,
    help: string,
    count: (status: BackendStreamStatus) => number,
  ): MetricFamily => ({
    name: `vsnd_stream_${name}`,
    type: 'counter',
    help,
    samples: lazily(streams, ({ labels, status }) => [[labels, count(status)]]),
  });
  const seconds = (name: string, help: string, frames: (open: OpenStreamStatus) => number): MetricFamily => ({
    name: `vsnd_stream_${name}_seconds`,
    type: 'gauge',
    unit: 'seconds',
    help,
    samples: lazily(streams, ({ labels, status: { open } }) =>
      open === undefined ? [] : [[labels, frames(open) / open.rate]],
    ),
  });
  return [
    {
      name: 'vsnd_stream_state',
      type: 'gauge',
      help: 'What the stream does: 1 for its state, 0 for each of the others.',
      samples: lazily(streams, ({ labels, status: { open } }) =>
        STATES.map(
          (state): Sample => [`${labels},state="${state}"`, Number(state === (open?.state ?? 'closed'))],
        ),
      ),
    },
    counter('frames', 'Frames played or captured.', ({ totals }) => totals.frames),
    counter('xruns', 'Underruns of playback, or overruns of capture.', ({ totals }) => totals.xruns),
    seconds('latency', 'Sound that waits to be played, or to be read.', ({ latency }) => latency),
    seconds(
      'buffer',
      'What the buffer of the guest holds when it is full.',
      ({ bufferFrames }) => bufferFrames,
    ),
    counter('requests', 'Requests answered.', ({ totals }) => totals.requests),
    counter(
      'notifications',
      'Notifications of requests that were looked into.',
      ({ totals }) => totals.notifications,
    ),
    counter(
      'idle_notifications',
      'Notifications behind which no request was.',
      ({ totals }) => totals.idleNotifications,
    ),
  ];
}

function limitMetrics(guests: readonly GuestStatus[]): MetricFamily[] {
  const limits = guests.flatMap(({ domid, limits }) =>
    limits.map((status) => ({ labels: formatLabels({ domid, limit: status.name }), status })),
  );
  const family = (
    name: string,
    type: MetricFamily['type'],
    help: string,
    value: (limit: LimitStatus) => number | undefined,
  ): MetricFamily => ({
    name: `vsnd_guest_limit${name}`,
    type,
    help,
    samples: lazily(limits, ({ labels, status }) => {
      const number = value(status);
      return number === undefined ? [] : [[labels, number]];
    }),
  });
  return [
    family('', 'gauge', 'What the guest may have at most, in the unit of the limit.', ({ limit }) => limit),
    family('_used', 'gauge', 'What the guest has of it now.', ({ used }) => used),
    family(
      '_refused',
      'counter',
      'How often the limit has refused the guest something.',
      ({ refused }) => refused,
    ),
    family('_delayed', 'counter', 'How often the limit has let the guest wait.', ({ delayed }) => delayed),
  ];
}

function xenstoreMetrics({ roundTrips, reconnections }: BackendXenStoreStatus): MetricFamily[] {
  return [
    {
      name: 'vsnd_xenstore_round_trips',
      type: 'counter',
      help: 'Requests to XenStore.',
      samples: [['', roundTrips]],
    },
    {
      name: 'vsnd_xenstore_reconnections',
      type: 'counter',
      help: 'How often the connection to XenStore was lost and made anew.',
      samples: [['', reconnections]],
    },
  ];
}

/** The samples of each one, made when they are asked for: not all in one turn. */
function* lazily<T>(all: Iterable<T>, samplesOf: (one: T) => readonly Sample[]): Generator<Sample> {
  for (const one of all) yield* samplesOf(one);
}
