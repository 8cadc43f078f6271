import { RealClock, wait } from '../clock.ts';
import type { ControlClient } from '../control/client.ts';
import { findBackend } from '../control/find.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { type CommandLine, parseNumber, UsageError } from './arguments.ts';
import { type CommandContext, defineCommand } from './command.ts';
import { OWNER_OPTIONS } from './common-options.ts';
import { cardLines } from './monitor/card-lines.ts';
import { guestLines } from './monitor/guest-lines.ts';
import { connectTo, lookAt, reachOwner } from './owner.ts';
import { PLAIN, type TerminalStyle } from './status-line.ts';

/** ms between two looks. */
const PAINT_INTERVAL = 200;
const PLAIN_INTERVAL = 1000;
const INTERVALS = { min: 10, max: 3_600_000, unit: 'ms' };

const OPTIONS = {
  backend: { help: 'the streams of all guests that the backend in this domain serves' },
  once: { help: 'look once' },
  interval: {
    argument: 'MS',
    help: `between two looks (default: ${PAINT_INTERVAL} on a terminal, else ${PLAIN_INTERVAL})`,
  },
  json: { help: 'print JSON: an object for each look, on a line' },
  ...OWNER_OPTIONS,
} as const;

type Values = CommandLine<typeof OPTIONS>['values'];

/** What somebody's streams do at one moment. */
interface View {
  readonly pid: number;
  /** The first is a title. */
  lines(style: TerminalStyle, width?: number): string[];
  /** For machines. */
  readonly json: unknown;
}

/** A process that has streams. */
interface Watched {
  readonly client: ControlClient;
  readonly look: () => Promise<View>;
  /** What it has done when the connection is over. */
  readonly ended: string;
}

/** `vsnd monitor`: shows what streams do, until the process that has them is done, or the user has had enough. */
export const monitor = defineCommand({
  name: 'monitor',
  summary: 'show what running streams do',
  description: [
    `Shows what the streams of a card do that another process has open, until that one closes it: state,
    position, how full the buffer is, latency, underruns or overruns, volume, and by how much the card's clock
    deviates.`,
    `Where no process has a card open, but a backend runs, as in Dom0: what the streams of all guests do.`,
  ],
  options: OPTIONS,
  examples: {
    'vsnd monitor': 'a line for each stream, kept up to date',
    'vsnd monitor --once --json': 'the state of the streams at this moment, for a program',
    'vsnd monitor --emulate': 'the streams of vsnd play --emulate, which runs in another terminal',
    'vsnd monitor --backend': 'in Dom0, what all guests play and capture, and where it goes',
  },
  run: watch,
});

async function watch(
  { values }: CommandLine<typeof OPTIONS>,
  { terminal, signal }: CommandContext,
): Promise<boolean> {
  const { json = false, once = false } = values;
  const isLive = terminal.live && !json && !once;
  const usualInterval = isLive ? PAINT_INTERVAL : PLAIN_INTERVAL;
  const interval = parseNumber('--interval', values.interval, INTERVALS) ?? usualInterval;

  const { client, look, ended } = await reach(values);
  const over = new AbortController();
  void client.closed.then(() => over.abort());
  signal.addEventListener('abort', () => void client.close(), { once: true });
  let view: View | undefined;
  try {
    do {
      const isFirst = view === undefined;
      view = await look();
      if (json) terminal.say(JSON.stringify(view.json));
      else if (isLive) terminal.paint(view.lines(terminal.style, terminal.width).join('\n'));
      else {
        const lines = view.lines(PLAIN);
        terminal.say(lines.slice(isFirst ? 0 : 1).join('\n'));
      }
      if (once) return true;
      await wait(new RealClock(), interval * 1e6, over);
    } while (!over.signal.aborted);
  } catch (error) {
    if (!client.ownerIsGone && !signal.aborted) throw error;
  } finally {
    terminal.release();
    await client.close();
  }
  if (isLive && view) terminal.say(view.lines(PLAIN).join('\n'));
  if (client.ownerIsGone && view && !json) terminal.say(`process ${view.pid} ${ended}`);
  return true;
}

/** Reaches whoever is meant: the owner of a card, or the backend where there is no such owner. */
async function reach(values: Values): Promise<Watched> {
  const { backend, card, socket } = values;
  if (backend && card !== undefined) throw new UsageError('--backend and --card exclude each other');
  if (backend) return await reachBackend(values);
  try {
    const client = await reachOwner(values);
    return { client, look: () => lookAtCard(client), ended: 'has closed the card' };
  } catch (error) {
    if (card !== undefined || socket !== undefined || !isVsndError(error, 'ERR_VSND_INVALID_STATE'))
      throw error;
    return await reachBackend(values).catch(() => {
      throw error;
    });
  }
}

async function reachBackend({ socket, emulate = false }: Values): Promise<Watched> {
  const client = await (socket === undefined ? findBackendOrSay(emulate) : connectTo(socket));
  return { client, look: () => lookAtGuests(client), ended: 'has ended' };
}

/** Where the one that is meant does not run and the other one does, says how to reach that. */
async function findBackendOrSay(isEmulated: boolean): Promise<ControlClient> {
  const clock = new RealClock();
  try {
    return await findBackend(isEmulated, clock);
  } catch (error) {
    const other = await findBackend(!isEmulated, clock).catch(() => undefined);
    if (!(error instanceof VsndError) || !other) throw error;
    await other.close();
    const how = isEmulated
      ? "this domain's does: leave out --emulate"
      : "an emulated machine's does: add --emulate";
    throw new VsndError(error.code, `${error.message}; ${how}`, { cause: error });
  }
}

async function lookAtCard(client: ControlClient): Promise<View> {
  const view = await lookAt(client);
  return { pid: view.pid, json: view, lines: (style, width) => cardLines(view, style, width) };
}

async function lookAtGuests(client: ControlClient): Promise<View> {
  const status = await client.request('guests', {});
  return { pid: status.pid, json: status, lines: (style, width) => guestLines(status, style, width) };
}
