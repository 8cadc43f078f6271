import { setTimeout } from 'node:timers/promises';
import { type CommandLine, parseNumber } from './arguments.ts';
import { type CommandContext, defineCommand } from './command.ts';
import { OWNER_OPTIONS } from './common-options.ts';
import { clockTime, withoutControls } from './messages.ts';
import { type CardView, lookAt, reachOwner, type StreamView, streamText } from './owner.ts';
import { counters, fitParts, PLAIN, plainPart, type TerminalStyle, volumeText } from './status-line.ts';

/** ms between two looks. */
const PAINT_INTERVAL = 200;
const PLAIN_INTERVAL = 1000;
const INTERVALS = { min: 10, max: 3_600_000, unit: 'ms' };

const OPTIONS = {
  once: { help: 'look once' },
  interval: {
    argument: 'MS',
    help: `between two looks; without it, ${PAINT_INTERVAL} on a terminal, else ${PLAIN_INTERVAL}`,
  },
  json: { help: 'print JSON: an object for each look, on a line' },
  ...OWNER_OPTIONS,
} as const;

/**
 * `vsnd monitor`: shows what the streams of another process's card do, until it closes the card, or the user has had
 * enough.
 */
export const monitor = defineCommand({
  name: 'monitor',
  summary: 'show what running streams do',
  description: [
    `Shows what the streams of a card do that another process has open, until that one closes it: state,
    position, how full the buffer is, latency, underruns or overruns, volume, and by how much the card's clock
    deviates.`,
  ],
  options: OPTIONS,
  examples: {
    'vsnd monitor': 'a line for each stream, kept up to date',
    'vsnd monitor --once --json': 'how the streams are just now, for a program',
    'vsnd monitor --emulate': 'the streams of vsnd play --emulate, which runs in another terminal',
  },
  run: watchCard,
});

async function watchCard(
  { values }: CommandLine<typeof OPTIONS>,
  { terminal, signal }: CommandContext,
): Promise<boolean> {
  const { json = false, once = false } = values;
  const isLive = terminal.live && !json && !once;
  const usualInterval = isLive ? PAINT_INTERVAL : PLAIN_INTERVAL;
  const interval = parseNumber('--interval', values.interval, INTERVALS) ?? usualInterval;

  const client = await reachOwner(values);
  const over = new AbortController();
  void client.closed.then(() => over.abort());
  signal.addEventListener('abort', () => void client.close(), { once: true });
  let view: CardView | undefined;
  try {
    do {
      const isFirst = view === undefined;
      view = await lookAt(client);
      if (json) terminal.say(JSON.stringify(view));
      else if (isLive) terminal.paint(linesOf(view, terminal.style, terminal.width).join('\n'));
      else
        terminal.say(
          linesOf(view, PLAIN)
            .slice(isFirst ? 0 : 1)
            .join('\n'),
        );
      if (once) return true;
      await setTimeout(interval, undefined, { signal: over.signal }).catch(() => {}); // it is over
    } while (!over.signal.aborted);
  } catch (error) {
    if (!client.ownerIsGone && !signal.aborted) throw error;
  } finally {
    terminal.release();
    await client.close();
  }
  if (isLive && view) terminal.say(linesOf(view, PLAIN).join('\n'));
  if (client.ownerIsGone && view && !json) terminal.say(`process ${view.pid} has closed the card`);
  return true;
}

/** A line for the card, and one for each stream. */
function linesOf(view: CardView, style: TerminalStyle, width = Infinity): string[] {
  const { pid, card, streams } = view;
  const name = card.longName ?? card.shortName;
  const backend = `backend in domain ${card.backendDomid}${card.connected ? '' : ', which is gone'}`;
  const title = [`card ${card.devid}`, ...(name ? [name] : []), backend, `process ${pid}`].join(', ');
  const lines = streams.map((stream) => streamLine(stream, style, width));
  return [
    withoutControls(title).slice(0, width - 1),
    ...(lines.length > 0 ? lines : ['no stream is in use']),
  ];
}

function streamLine(stream: StreamView, style: TerminalStyle, width: number): string {
  const { rate, state, position, latency, bufferFrames, clock, volume, muted } = stream;
  const progress = {
    fill: latency / (bufferFrames || 1), // 0 before the backend has opened the stream
    latency: (latency / rate) * 1000,
    xruns: { name: stream.type === 'playback' ? 'underruns' : 'overruns', count: stream.xruns },
  } as const;
  const { deviation } = clock;
  const parts = [
    plainPart(withoutControls(state).padEnd(8)),
    plainPart(clockTime(position / rate).padStart(7)),
    ...counters(progress, style),
    ...(volume ? [plainPart(volumeText(volume, muted))] : []),
    ...(deviation === undefined ? [] : [plainPart(`${deviation > 0 ? '+' : ''}${deviation.toFixed(1)} ppm`)]),
  ];
  const name = withoutControls(streamText(stream)).padEnd(12);
  return name + fitParts(parts, width - 1 - name.length).text;
}
