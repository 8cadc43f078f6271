import type { ClientStatus, GuestStream, StreamName, StreamStatus } from '../../control/protocol.ts';
import { clockTime, oneLine, withoutControls } from '../messages.ts';
import { type CardView, type StreamView, streamText } from '../owner.ts';
import { counters, fitParts, type Part, plainPart, type TerminalStyle, volumeText } from '../status-line.ts';

/** A line for the card, and one for each stream. */
export function cardLines(view: CardView, style: TerminalStyle, width = Infinity): string[] {
  const { pid, card, streams, clients = [] } = view;
  const name = card.longName ?? card.shortName;
  const backend = `backend in domain ${card.backendDomid}${card.connected ? '' : ', which is gone'}`;
  const title = [`card ${card.devid}`, ...(name ? [oneLine(name)] : []), backend, `process ${pid}`].join(
    ', ',
  );
  const lines = streams.map((stream) => streamLine(stream, style, width));
  return [
    withoutControls(title).slice(0, width - 1),
    ...(lines.length > 0 ? lines : ['no stream is in use']),
    ...clients.map((client) => clientLine(client).slice(0, width - 1)),
  ];
}

/** A program, and what it plays and records. */
function clientLine({ name, pid, streams }: ClientStatus): string {
  const parts = streams.map(({ direction, target, rate, channels, corked, muted, buffered }) =>
    [
      `${direction === 'sink' ? 'plays into' : 'records'} ${target}`,
      `${rate} Hz, ${channels} channels`,
      ...(corked ? ['paused'] : [`${buffered.toFixed(0)} ms wait`]),
      ...(muted ? ['muted'] : []),
    ].join(', '),
  );
  const who = `${oneLine(name)}${pid === undefined ? '' : `, process ${pid}`}`;
  return withoutControls(`${who}: ${parts.join('; ') || 'connected'}`);
}

function streamLine(stream: StreamView, style: TerminalStyle, width: number): string {
  const { clock, volume, muted } = stream;
  const { deviation } = clock;
  const parts = [
    ...progressParts(stream, stream, style),
    ...(volume ? [plainPart(volumeText(volume, muted))] : []),
    ...(deviation === undefined ? [] : [plainPart(`${deviation > 0 ? '+' : ''}${deviation.toFixed(1)} ppm`)]),
  ];
  const name = withoutControls(streamText(stream)).padEnd(12);
  return name + fitParts(parts, width - 1 - name.length).text;
}

/** What a stream does: its state, its position, and how full its buffer is. */
export function progressParts(
  { type }: StreamName,
  { state, position, rate, latency, bufferFrames, xruns, estimatedXruns }: Progress,
  style: TerminalStyle,
): Part[] {
  const progress = {
    fill: latency / (bufferFrames || 1), // 0 before the backend has opened the stream
    latency: (latency / rate) * 1000,
    xruns: {
      name: type === 'playback' ? 'underruns' : 'overruns',
      count: xruns,
      estimated: estimatedXruns,
    },
  } as const;
  return [
    plainPart(withoutControls(state).padEnd(8)),
    plainPart(clockTime(position / rate).padStart(7)),
    ...counters(progress, style),
  ];
}

/** A backend does not estimate. */
type Progress = NonNullable<GuestStream['open']> & Pick<Partial<StreamStatus>, 'estimatedXruns'>;
