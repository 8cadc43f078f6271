import { PulseError } from '../pulse/command.ts';
import type { PropertyList } from '../pulse/tagged.ts';
import { LARGEST_VOLUME } from '../pulse/volume.ts';
import { found, type Handlers } from './handlers.ts';
import type { Sink } from './sink.ts';
import type { Source } from './source.ts';

/** PA_UPDATE_SET and PA_UPDATE_MERGE, which keeps what is there; the third one replaces that. */
const UpdateMode = { set: 0, merge: 1 } as const;

/** What clients do that is done with that. */
export const ACTIONS = {
  updateClientProperties: (asking, { mode, properties }) => {
    asking.properties = updated(asking.properties, mode, properties);
    asking.hub.publish('client', 'change', asking.client);
  },
  removeClientProperties: (asking, { keys }) => {
    asking.properties = without(asking.properties, keys);
    asking.hub.publish('client', 'change', asking.client);
  },
  killClient: ({ hub }, { index }) => found(hub.clients, index).close(),
  subscribe: (asking, { mask }) => {
    asking.subscription = mask;
  },
  deletePlaybackStream: (asking, { channel }) => {
    asking.hub.removeInput(found(asking.inputs, channel).index);
    asking.inputs.delete(channel);
  },
  corkPlayback: (asking, { channel, isCorked }) => {
    const input = found(asking.inputs, channel);
    input.cork(isCorked);
    asking.hub.publish('sinkInput', 'change', input.index);
  },
  flushPlayback: (asking, { channel }) => found(asking.inputs, channel).flush(),
  trigger: (asking, { channel }) => found(asking.inputs, channel).trigger(),
  prebuffer: (asking, { channel }) => found(asking.inputs, channel).prebuffer(),
  setPlaybackName: (asking, { channel, name }) => {
    const input = found(asking.inputs, channel);
    input.properties = renamed(input.properties, name);
    asking.hub.publish('sinkInput', 'change', input.index);
  },
  updatePlaybackProperties: (asking, { channel, mode, properties }) => {
    const input = found(asking.inputs, channel);
    input.properties = updated(input.properties, mode, properties);
    asking.hub.publish('sinkInput', 'change', input.index);
  },
  removePlaybackProperties: (asking, { channel, keys }) => {
    const input = found(asking.inputs, channel);
    input.properties = without(input.properties, keys);
  },
  deleteRecordStream: (asking, { channel }) => {
    asking.hub.removeOutput(found(asking.outputs, channel).index);
    asking.outputs.delete(channel);
  },
  corkRecord: (asking, { channel, isCorked }) => {
    const output = found(asking.outputs, channel);
    output.cork(isCorked);
    asking.hub.publish('sourceOutput', 'change', output.index);
  },
  flushRecord: (asking, { channel }) => found(asking.outputs, channel).flush(),
  setRecordName: (asking, { channel, name }) => {
    const output = found(asking.outputs, channel);
    output.properties = renamed(output.properties, name);
  },
  updateRecordProperties: (asking, { channel, mode, properties }) => {
    const output = found(asking.outputs, channel);
    output.properties = updated(output.properties, mode, properties);
  },
  removeRecordProperties: (asking, { channel, keys }) => {
    const output = found(asking.outputs, channel);
    output.properties = without(output.properties, keys);
  },
  setSinkVolume: ({ hub }, { volumes, ...target }) => turn(hub.findSink(target), volumes),
  setSourceVolume: ({ hub }, { volumes, ...target }) => turn(hub.findSource(target), volumes),
  setSinkMute: ({ hub }, { isMuted, ...target }) => mute(hub.findSink(target), isMuted),
  setSourceMute: ({ hub }, { isMuted, ...target }) => mute(hub.findSource(target), isMuted),
  setSinkInputVolume: ({ hub }, { index, volumes }) => {
    const { gain } = found(hub.inputs, index).stream;
    gain.set(forEach(gain.volumes, volumes), gain.isMuted);
    hub.publish('sinkInput', 'change', index);
  },
  setSinkInputMute: ({ hub }, { index, isMuted }) => {
    const { gain } = found(hub.inputs, index).stream;
    gain.set(gain.volumes, isMuted);
    hub.publish('sinkInput', 'change', index);
  },
  setSourceOutputVolume: ({ hub }, { index, volumes }) => {
    const { gain } = found(hub.outputs, index).stream;
    gain.set(forEach(gain.volumes, volumes), gain.isMuted);
    hub.publish('sourceOutput', 'change', index);
  },
  setSourceOutputMute: ({ hub }, { index, isMuted }) => {
    const { gain } = found(hub.outputs, index).stream;
    gain.set(gain.volumes, isMuted);
    hub.publish('sourceOutput', 'change', index);
  },
  killSinkInput: ({ hub }, { index }) => {
    const { stream, client } = found(hub.inputs, index);
    stream.kill();
    client.inputs.delete(stream.channel);
    hub.removeInput(index);
  },
  killSourceOutput: ({ hub }, { index }) => {
    const { stream, client } = found(hub.outputs, index);
    stream.kill();
    client.outputs.delete(stream.channel);
    hub.removeOutput(index);
  },
} satisfies Handlers<void>;

function turn(target: Sink | Source, volumes: readonly number[]): void {
  target.setVolume(forEach(target.volumes, volumes), target.isMuted);
}

function mute(target: Sink | Source, isMuted: boolean): void {
  target.setVolume(target.volumes, isMuted);
}

/** One a channel, of what a client says: as many, or one for all. Throws {@link PulseError}. */
function forEach(before: readonly number[], said: readonly number[]): number[] {
  const [first] = said;
  const fits = first !== undefined && (said.length === 1 || said.length === before.length);
  if (!fits || said.some((volume) => volume > LARGEST_VOLUME)) throw new PulseError('invalid');
  return before.map((_, channel) => said[channel] ?? first);
}

function updated(before: PropertyList, mode: number, said: PropertyList): PropertyList {
  if (mode === UpdateMode.set) return said;
  return mode === UpdateMode.merge ? new Map([...said, ...before]) : new Map([...before, ...said]);
}

function without(before: PropertyList, keys: readonly string[]): PropertyList {
  return new Map([...before].filter(([key]) => !keys.includes(key)));
}

function renamed(before: PropertyList, name = ''): PropertyList {
  return new Map([...before, ['media.name', Buffer.from(`${name}\0`)]]);
}
