import { PulseError } from '../pulse/command.ts';
import { chooseFormat, type StreamFormat } from '../pulse/format-info.ts';
import { createdPlayback, createdRecord, type Fields } from '../pulse/messages.ts';
import type { PlaybackRequest, RecordRequest } from '../pulse/requests.ts';
import { PULSE_FORMATS } from '../pulse/sample-spec.ts';
import { MOST_CHANNELS } from '../pulse/tagged.ts';
import type { Asking } from './hub.ts';
import { SinkInput } from './sink-input.ts';
import { SourceOutput } from './source-output.ts';
import type { StreamGain } from './stream-gain.ts';

/** Hz */
const RATES = { least: 1000, most: 768_000 };

/** Makes a playback stream. Rejects with {@link PulseError}. */
export async function createPlayback(asking: Asking, request: PlaybackRequest): Promise<Fields> {
  const { hub } = asking;
  const sink = hub.findSink(request.target, request.properties);
  const format = formatOf(request, sink.format);
  const [index, channel] = [hub.takeIndex(), asking.takeChannel()];
  const isMemoryFull = (bytes: number) => hub.isMemoryFull(bytes);
  const options = {
    index,
    channel,
    owner: asking,
    version: asking.version,
    request,
    isMemoryFull,
    ...format,
  };
  const input = await hub.make(asking, () => SinkInput.create(options, sink));
  if (asking.isClosed) {
    input.close();
    throw new PulseError('noEntity');
  }
  setGain(input.gain, request);
  asking.inputs.set(channel, input);
  hub.inputs.set(index, { stream: input, target: sink, client: asking });
  sink.add(input);
  hub.publish('sinkInput', 'new', index);
  const latency = sink.timingFor(input.cardShare).card * 1e6;
  const created = { channel, index, target: sink.plan, latency, ...format };
  return createdPlayback(created, input.takeFirstRequest(), input.attributes);
}

/** Makes a record stream. Rejects with {@link PulseError}. */
export async function createRecord(asking: Asking, request: RecordRequest): Promise<Fields> {
  const { hub } = asking;
  const source = hub.findSource(request.target);
  const format = formatOf(request, source.format);
  const [index, channel] = [hub.takeIndex(), asking.takeChannel()];
  const options = { index, channel, owner: asking, request, ...format };
  const output = await hub.make(asking, () => SourceOutput.create(options, source));
  if (asking.isClosed) {
    output.close();
    throw new PulseError('noEntity');
  }
  setGain(output.gain, request);
  asking.outputs.set(channel, output);
  hub.outputs.set(index, { stream: output, target: source, client: asking });
  source.add(output);
  hub.publish('sourceOutput', 'new', index);
  const created = { channel, index, target: source.plan, latency: output.fragment * 1e6, ...format };
  return createdRecord(created, output.attributes);
}

/** What the client says, of its list of formats where it has one, and the card's where it leaves it to us. Throws {@link PulseError}. */
function formatOf(request: PlaybackRequest | RecordRequest, usual: StreamFormat): StreamFormat {
  const { isPassthrough, formats, fix } = request;
  const said = formats.length > 0 ? chooseFormat(formats, usual) : request;
  if (isPassthrough || said === undefined) throw new PulseError('notSupported');
  const channels = fix.channels ? usual.spec.channels : said.spec.channels;
  const spec = {
    format: fix.format ? usual.spec.format : said.spec.format,
    rate: fix.rate ? usual.spec.rate : said.spec.rate,
    channels,
  };
  const map = fix.channels ? usual.map : said.map;
  const isRate = spec.rate >= RATES.least && spec.rate <= RATES.most;
  const isLayout = channels >= 1 && channels <= MOST_CHANNELS && map.length === channels;
  if (PULSE_FORMATS[spec.format] === undefined || !isRate || !isLayout) throw new PulseError('invalid');
  return { spec, map };
}

function setGain(
  gain: StreamGain,
  { volumes = gain.volumes, isMuted }: PlaybackRequest | RecordRequest,
): void {
  const [first = 0] = volumes;
  gain.set(
    gain.volumes.map((_, channel) => volumes[channel] ?? first),
    isMuted,
  );
}
