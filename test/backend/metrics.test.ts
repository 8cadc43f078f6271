import { expect, test } from 'vitest';
import { type BackendReadings, backendMetrics } from '../../src/metrics/backend-metrics.ts';
import { formatMetrics } from '../../src/metrics/exposition.ts';
import { useWorlds } from './world.ts';

const startWorld = useWorlds();

const textOf = (readings: BackendReadings) =>
  [...formatMetrics(backendMetrics(readings), 'openmetrics')].join('');

const READINGS: BackendReadings = {
  status: [
    {
      ...{ domid: 3, devid: 0, name: 'Radio', connected: true },
      streams: [
        {
          ...{ type: 'playback', device: 0, stream: 1, target: 'null' },
          open: {
            ...{ rate: 48_000, channels: 2, format: 's16_le', state: 'running' },
            ...{ position: 100, latency: 960, bufferFrames: 9600, xruns: 1 },
          },
          totals: { requests: 9, notifications: 7, idleNotifications: 1, frames: 4800, xruns: 2 },
        },
        {
          ...{ type: 'capture', device: 1, stream: 0, target: 'silence', open: undefined },
          totals: { requests: 0, notifications: 0, idleNotifications: 0, frames: 0, xruns: 0 },
        },
      ],
    },
    { domid: 4, devid: 1, name: undefined, connected: false, streams: [] },
  ],
  guests: [
    {
      domid: 3,
      limits: [
        { name: 'streams', limit: 32, used: 2, refused: 4, delayed: 0 },
        { name: 'opens-per-second', limit: 10, used: undefined, refused: 0, delayed: 5 },
      ],
    },
  ],
  xenstore: { roundTrips: 55, reconnections: 1 },
};

test('what is read, as text', () => {
  expect(textOf(READINGS)).toBe(`\
# TYPE vsnd_card_connected gauge
# HELP vsnd_card_connected Whether the guest uses its card: 1, or 0.
vsnd_card_connected{domid="3",devid="0"} 1
vsnd_card_connected{domid="4",devid="1"} 0
# TYPE vsnd_stream_state gauge
# HELP vsnd_stream_state What the stream does: 1 for its state, 0 for each of the others.
vsnd_stream_state{domid="3",devid="0",device="0",stream="1",type="playback",state="closed"} 0
vsnd_stream_state{domid="3",devid="0",device="0",stream="1",type="playback",state="stopped"} 0
vsnd_stream_state{domid="3",devid="0",device="0",stream="1",type="playback",state="running"} 1
vsnd_stream_state{domid="3",devid="0",device="0",stream="1",type="playback",state="paused"} 0
vsnd_stream_state{domid="3",devid="0",device="1",stream="0",type="capture",state="closed"} 1
vsnd_stream_state{domid="3",devid="0",device="1",stream="0",type="capture",state="stopped"} 0
vsnd_stream_state{domid="3",devid="0",device="1",stream="0",type="capture",state="running"} 0
vsnd_stream_state{domid="3",devid="0",device="1",stream="0",type="capture",state="paused"} 0
# TYPE vsnd_stream_frames counter
# HELP vsnd_stream_frames Frames played or captured.
vsnd_stream_frames_total{domid="3",devid="0",device="0",stream="1",type="playback"} 4800
vsnd_stream_frames_total{domid="3",devid="0",device="1",stream="0",type="capture"} 0
# TYPE vsnd_stream_xruns counter
# HELP vsnd_stream_xruns Underruns of playback, or overruns of capture.
vsnd_stream_xruns_total{domid="3",devid="0",device="0",stream="1",type="playback"} 2
vsnd_stream_xruns_total{domid="3",devid="0",device="1",stream="0",type="capture"} 0
# TYPE vsnd_stream_latency_seconds gauge
# UNIT vsnd_stream_latency_seconds seconds
# HELP vsnd_stream_latency_seconds Sound that waits to be played, or to be read.
vsnd_stream_latency_seconds{domid="3",devid="0",device="0",stream="1",type="playback"} 0.02
# TYPE vsnd_stream_buffer_seconds gauge
# UNIT vsnd_stream_buffer_seconds seconds
# HELP vsnd_stream_buffer_seconds What the buffer of the guest holds when it is full.
vsnd_stream_buffer_seconds{domid="3",devid="0",device="0",stream="1",type="playback"} 0.2
# TYPE vsnd_stream_requests counter
# HELP vsnd_stream_requests Requests answered.
vsnd_stream_requests_total{domid="3",devid="0",device="0",stream="1",type="playback"} 9
vsnd_stream_requests_total{domid="3",devid="0",device="1",stream="0",type="capture"} 0
# TYPE vsnd_stream_notifications counter
# HELP vsnd_stream_notifications Notifications of requests that were looked into.
vsnd_stream_notifications_total{domid="3",devid="0",device="0",stream="1",type="playback"} 7
vsnd_stream_notifications_total{domid="3",devid="0",device="1",stream="0",type="capture"} 0
# TYPE vsnd_stream_idle_notifications counter
# HELP vsnd_stream_idle_notifications Notifications behind which no request was.
vsnd_stream_idle_notifications_total{domid="3",devid="0",device="0",stream="1",type="playback"} 1
vsnd_stream_idle_notifications_total{domid="3",devid="0",device="1",stream="0",type="capture"} 0
# TYPE vsnd_guest_limit gauge
# HELP vsnd_guest_limit What the guest may have at most, in the unit of the limit.
vsnd_guest_limit{domid="3",limit="streams"} 32
vsnd_guest_limit{domid="3",limit="opens-per-second"} 10
# TYPE vsnd_guest_limit_used gauge
# HELP vsnd_guest_limit_used What the guest has of it now.
vsnd_guest_limit_used{domid="3",limit="streams"} 2
# TYPE vsnd_guest_limit_refused counter
# HELP vsnd_guest_limit_refused How often the limit has refused the guest something.
vsnd_guest_limit_refused_total{domid="3",limit="streams"} 4
vsnd_guest_limit_refused_total{domid="3",limit="opens-per-second"} 0
# TYPE vsnd_guest_limit_delayed counter
# HELP vsnd_guest_limit_delayed How often the limit has let the guest wait.
vsnd_guest_limit_delayed_total{domid="3",limit="streams"} 0
vsnd_guest_limit_delayed_total{domid="3",limit="opens-per-second"} 5
# TYPE vsnd_xenstore_round_trips counter
# HELP vsnd_xenstore_round_trips Requests to XenStore.
vsnd_xenstore_round_trips_total 55
# TYPE vsnd_xenstore_reconnections counter
# HELP vsnd_xenstore_reconnections How often the connection to XenStore was lost and made anew.
vsnd_xenstore_reconnections_total 1
# EOF
`);
});

test('a stream plays, runs dry, plays on, and counts from 0 when its guest has connected anew', async () => {
  const world = await startWorld();
  const { backend, clock } = world;
  const stream = '{domid="1",devid="0",device="0",stream="0",type="playback"}';
  const { channel } = await world.openStream({ bufferBytes: 8192 });
  await channel.write(0, 8192);
  await channel.trigger('start');
  await clock.advance(1024);
  expect(textOf(backend)).toContain(`vsnd_stream_latency_seconds${stream} ${1024 / 48_000}\n`);
  await clock.advance(2048);
  await channel.write(0, 4096);
  const text = textOf(backend);
  expect(text).toContain(`vsnd_stream_frames_total${stream} 2048\n`);
  expect(text).toContain(`vsnd_stream_xruns_total${stream} 1\n`);
  expect(text).toContain(`vsnd_stream_requests_total${stream} 4\n`);
  await world.guest.connectOne();
  expect(textOf(backend)).toContain(`vsnd_stream_frames_total${stream} 0\n`);
});
