import { NO_INDEX } from '../pulse/command.ts';
import {
  clientInfo,
  type Fields,
  listOf,
  memoryStatistics,
  type StreamDescription,
  serverInfo,
  streamInfo,
  targetInfo,
} from '../pulse/messages.ts';
import { cardMap } from '../pulse/sample-spec.ts';
import type { Client } from './client.ts';
import { streamName } from './client-stream.ts';
import { found, type Handlers } from './handlers.ts';
import type { Entry } from './hub.ts';
import type { Sink } from './sink.ts';
import type { SinkInput } from './sink-input.ts';
import type { Source } from './source.ts';
import type { SourceOutput } from './source-output.ts';

/** What a server has nothing of. */
const NONE: Fields = () => {};

/** What clients want to know of the server, and of what is in it. */
export const QUESTIONS = {
  serverInfo: ({ hub }) => {
    const [sink] = hub.sinks;
    const [source] = hub.sources;
    const format = sink?.format ??
      source?.format ?? { spec: { format: 3, channels: 2, rate: 48_000 }, map: cardMap(2) };
    // PulseAudio always has both: SDL copies the names unseen, and dies of none.
    const names = { defaultSink: sink?.plan.name ?? '', defaultSource: source?.plan.name ?? '' };
    return serverInfo({ name: 'vsnd', ...hub.identity, ...format, ...names });
  },
  statistics: () => memoryStatistics(),
  lookupSink: ({ hub }, { name }) => foundAt(hub.findSink({ index: NO_INDEX, name })),
  lookupSource: ({ hub }, { name }) => foundAt(hub.findSource({ index: NO_INDEX, name })),
  sinkInfo: ({ hub }, target) => targetInfo(hub.findSink(target).describe()),
  sinkList: ({ hub }) => listOf(hub.sinks.map((sink) => targetInfo(sink.describe()))),
  sourceInfo: ({ hub }, target) => targetInfo(hub.findSource(target).describe()),
  sourceList: ({ hub }) => listOf(hub.sources.map((source) => targetInfo(source.describe()))),
  clientInfo: ({ hub }, { index }) => aboutClient(found(hub.clients, index)),
  clientList: ({ hub }) => listOf([...hub.clients.values()].map(aboutClient)),
  sinkInputInfo: ({ hub }, { index }) => aboutInput(found(hub.inputs, index)),
  sinkInputList: ({ hub }) => listOf([...hub.inputs.values()].map(aboutInput)),
  sourceOutputInfo: ({ hub }, { index }) => aboutOutput(found(hub.outputs, index)),
  sourceOutputList: ({ hub }) => listOf([...hub.outputs.values()].map(aboutOutput)),
  moduleList: () => NONE,
  sampleList: () => NONE,
  cardList: () => NONE,
} satisfies Handlers<Fields>;

function foundAt({ plan }: Sink | Source): Fields {
  return (writer) => writer.u32(plan.index);
}

function aboutClient({ client, name, properties }: Client): Fields {
  return clientInfo({ index: client, name, properties });
}

function aboutInput({ stream, target, client }: Entry<SinkInput, Sink>): Fields {
  const { bufferLatency } = stream;
  return streamInfo({ direction: 'playback', ...common(stream, target, client), bufferLatency });
}

function aboutOutput({ stream, target, client }: Entry<SourceOutput, Source>): Fields {
  const { bufferLatency } = stream;
  return streamInfo({ direction: 'record', ...common(stream, target, client), bufferLatency });
}

function common(
  { index, spec, map, gain, isCorked, resamples, properties }: SinkInput | SourceOutput,
  target: Sink | Source,
  { client }: Client,
): Omit<StreamDescription, 'direction' | 'bufferLatency'> {
  const { volumes, isMuted } = gain;
  return {
    index,
    name: streamName(properties),
    client,
    target: target.plan.index,
    spec,
    map,
    volumes,
    isMuted,
    isCorked,
    targetLatency: target.latency,
    resampler: resamples ? 'src-sinc-medium-quality' : undefined,
    properties,
  };
}
