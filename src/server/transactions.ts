import { PulseError } from '../pulse/command.ts';
import {
  type Fields,
  playbackAttributes,
  playbackTiming,
  recordAttributes,
  recordTiming,
} from '../pulse/messages.ts';
import { NEWEST_VERSION, OLDEST_VERSION } from '../pulse/requests.ts';
import type { Timeval } from '../pulse/tagged.ts';
import { createPlayback, createRecord } from './create-stream.ts';
import { found, type Handlers } from './handlers.ts';

/** What clients do that has a result. */
export const TRANSACTIONS = {
  auth: (asking, { version }) => {
    if (!asking.isWelcome) throw new PulseError('access');
    if (version < OLDEST_VERSION) throw new PulseError('version');
    asking.version = Math.min(version, NEWEST_VERSION);
    return (writer) => writer.u32(asking.version); // without the bits of shared memory: declined
  },
  setClientName: (asking, { properties }) => {
    asking.properties = properties;
    asking.hub.announce(asking);
    return (writer) => writer.u32(asking.client);
  },
  createPlaybackStream: createPlayback,
  drain: async (asking, { channel }) => {
    await found(asking.inputs, channel).drain();
    return () => {};
  },
  playbackLatency: (asking, { channel, time }) => {
    const input = found(asking.inputs, channel);
    const { target } = found(asking.hub.inputs, input.index);
    const pending = (input.pendingFrames * 1e6) / target.plan.spec.rate;
    const { writeIndex, readIndex, dry, playing } = input.indexes;
    const latency = target.latency + pending;
    const isPlaying = target.isOpen && input.hasStarted;
    const timing = { latency, isPlaying, asked: time, answered: realTime(), writeIndex, readIndex };
    return playbackTiming(timing, dry, playing);
  },
  setPlaybackAttributes: (asking, { channel, attributes, ...wish }) => {
    const input = found(asking.inputs, channel);
    input.setAttributes(attributes, wish);
    const { card } = found(asking.hub.inputs, input.index).target.timingFor(input.cardShare);
    return (writer) => {
      playbackAttributes(input.attributes)(writer);
      writer.usec(card * 1e6);
    };
  },
  createRecordStream: createRecord,
  recordLatency: (asking, { channel, time }) => {
    const output = found(asking.outputs, channel);
    const { target } = found(asking.hub.outputs, output.index);
    const { latency, isOpen } = target;
    const isPlaying = isOpen && !output.isCorked;
    return recordTiming({ latency, isPlaying, asked: time, answered: realTime(), ...output.indexes });
  },
  setRecordAttributes: (asking, { channel, attributes }) => {
    const output = found(asking.outputs, channel);
    output.setAttributes(attributes);
    return (writer) => {
      recordAttributes(output.attributes)(writer);
      writer.usec(output.fragment * 1e6);
    };
  },
} satisfies Handlers<Fields | Promise<Fields>>;

/** The machine's: a client on the same one compares it with its own. */
function realTime(): Timeval {
  const now = performance.timeOrigin + performance.now();
  const seconds = Math.floor(now / 1000);
  return { seconds, microseconds: Math.floor((now - seconds * 1000) * 1000) };
}
