import { once } from 'node:events';
import type { Bridge, BridgeEndpoint, BridgeEvents } from '../bridge/bridge.ts';
import type { EmulatedGuest } from '../emulation/guest.ts';
import {
  type BridgeOptions,
  type BridgeRoute,
  type Card,
  createBridge,
  type SoundServerKind,
} from '../index.ts';
import { type CommandLine, parseIndex, parseNumber, parseOneOf, UsageError } from './arguments.ts';
import { type CommandContext, defineCommand } from './command.ts';
import { CARD, checkEmulation, EMULATE, SINK, SOURCE } from './common-options.ts';
import { describeFormat } from './messages.ts';
import { offerOwnControl } from './own-control.ts';
import type { Terminal } from './terminal.ts';
import { withCard } from './with-card.ts';

const SERVERS: readonly SoundServerKind[] = ['pulse', 'pipewire'];
const ROUTES: readonly BridgeRoute[] = ['tunnel', 'graph', 'pipe'];

/** ms between two looks at the bridge for the status line. */
const REFRESH = 250;

const OPTIONS = {
  card: CARD,
  via: {
    argument: 'ROUTE',
    help: 'how the sound goes (default: tunnel with PulseAudio, graph with PipeWire)',
    values: {
      tunnel: "by PulseAudio's own tunnels, which know the card's clock and its latency",
      graph: "in PipeWire's graph, which the card drives",
      pipe: 'through a FIFO, with either; the server does not know what the card adds to the latency',
    },
  },
  device: { argument: 'N', help: "the card's PCM device with this number (default: the first that fits)" },
  name: { argument: 'NAME', help: "what programs call the sink (default: from the card's name)" },
  'no-sink': { help: 'programs cannot play' },
  'no-source': { help: 'programs cannot record' },
  latency: { argument: 'MS', help: 'what the bridge may add, 10 to 2000 (default: 100)' },
  rate: { short: 'r', argument: 'HZ', help: 'default: 48000, else the best that the card has' },
  channels: { short: 'c', argument: 'N', help: 'default: 2, else the nearest that the card has' },
  format: { short: 'f', argument: 'FORMAT', help: 'default: s16_le, else the best that both ends have' },
  priority: {
    argument: 'N',
    help: 'of devices that PipeWire could use, it takes the one with the highest: to drive, and by default (default: 3000)',
  },
  exact: { help: 'never resample: drop or repeat frames where the clocks differ, and count them' },
  json: { help: 'one JSON object a line, for machines' },
  emulate: EMULATE,
  sink: { ...SINK, help: "where the emulated card's sound goes (default: null)" },
  source: SOURCE,
} as const;

/** `vsnd bridge`: the card as a sink and a source of the guest's sound server. */
export const bridge = defineCommand({
  name: 'bridge',
  summary: 'make the card a device of PulseAudio or PipeWire',
  operands: { usage: '[pulse|pipewire]', most: 1, complete: SERVERS },
  description: [
    `Makes this guest's virtual sound card a sink and a source of the sound server that runs for this user, until Ctrl-C:
    every program can then play through it and record from it. While no program does, the card is closed. It survives restarts of the
    sound server and of the backend, and leaves nothing behind in the server. See vsnd help bridge.md, also for the service.`,
  ],
  options: OPTIONS,
  examples: {
    'vsnd bridge': 'the first card, for the server that runs',
    'vsnd bridge pulse --no-source --latency 50': 'playing only, with half of the latency',
    'vsnd bridge --emulate --sink wav:heard.wav': 'on any machine: what programs play goes into a file',
  },
  isService: true,
  run: runBridge,
});

/** Returns when `signal` aborts, or the bridge cannot go on. */
async function runBridge(line: CommandLine<typeof OPTIONS>, context: CommandContext): Promise<boolean> {
  const { options, json, ...choice } = parseOptions(line);
  const { terminal, signal } = context;
  await withCard({ ...choice, hasOwnControl: true }, context, async (use) => {
    const { card, guest, releases } = use;
    const made = await createBridge(card, { ...options, signal });
    releases.push(() => made.close());
    await offerOwnControl(use, { handleVolume: () => made.refreshVolumes() });
    const failed = new Promise<never>((_, reject) => made.once('error', reject));
    // What ends with us, the sound server of the same terminal for one, is not lost.
    signal.addEventListener('abort', () => made.removeAllListeners('disconnect'), { once: true });
    const hide = json ? reportAsJson(made, terminal) : reportToPeople(made, card, guest, terminal);
    releases.push(hide);
    await Promise.race([once(made, 'close'), failed]);
  });
  return true;
}

function parseOptions({ values, operands: [server] }: CommandLine<typeof OPTIONS>) {
  checkEmulation(values);
  const { emulate = false, sink, source } = values;
  if (values['no-sink'] && values['no-source']) {
    throw new UsageError('--no-sink and --no-source leave nothing to do');
  }
  const options: BridgeOptions = {
    server: parseOneOf('the sound server', server, SERVERS),
    via: parseOneOf('--via', values.via, ROUTES),
    name: values.name,
    device: parseIndex('--device', values.device),
    sink: values['no-sink'] ? false : undefined,
    source: values['no-source'] ? false : undefined,
    latency: parseNumber('--latency', values.latency, { min: 10, max: 2000, unit: 'ms' }),
    rate: parseIndex('--rate', values.rate),
    channels: parseIndex('--channels', values.channels),
    format: values.format as BridgeOptions['format'], // checked against what card and server have
    priority: parseIndex('--priority', values.priority),
    exact: values.exact ?? false,
  };
  return {
    options,
    card: parseIndex('--card', values.card),
    // What any program of this machine plays may come from the bridge: it would play to itself.
    emulation: emulate ? { sink: sink ?? 'null', source } : undefined,
    json: values.json ?? false,
  };
}

/** What the bridge says, a line each, with the time and how it stands. Returns what ends that. */
function reportAsJson(bridge: Bridge, terminal: Terminal): () => void {
  const say = (event: string, details: object = {}) => {
    const { state, server, endpoints } = bridge;
    terminal.say(
      JSON.stringify({ time: new Date().toISOString(), event, ...details, state, server, endpoints }),
    );
  };
  say('connect');
  for (const event of [
    'start',
    'stop',
    'xrun',
    'disconnect',
    'reconnect',
    'backendBack',
    'warning',
  ] as const) {
    bridge.on(event, (...[details]: unknown[]) => say(event, details as object));
  }
  bridge.on('backendLost', ({ direction, error }) =>
    say('backendLost', { direction, reason: error.message }),
  );
  return () => say('close');
}

/** The same for people, with a status line on a terminal. */
function reportToPeople(
  bridge: Bridge,
  card: Card,
  guest: EmulatedGuest | undefined,
  terminal: Terminal,
): () => void {
  const where = guest
    ? `${guest.hypervisor.description}, sink ${guest.sink.description}, source ${guest.source.description}`
    : `this guest, through the backend in domain ${card.info.backendDomid}`;
  terminal.say(`card ${card.info.devid} of ${where}`);
  for (const endpoint of bridge.endpoints) {
    terminal.say(
      `is the ${endpoint.direction} ${endpoint.name} of ${bridge.server}: ${describeFormat(endpoint)}`,
    );
  }
  const tell = <E extends keyof BridgeEvents>(event: E, words: (...args: BridgeEvents[E]) => string) => {
    bridge.on(event as string as 'close', (...args: unknown[]) =>
      terminal.say(words(...(args as BridgeEvents[E]))),
    );
  };
  tell(
    'xrun',
    ({ direction, count }) => `${direction}: ${direction === 'sink' ? 'underrun' : 'overrun'} ${count}`,
  );
  tell('disconnect', ({ reason }) => `the sound server has gone (${reason}); waiting for it`);
  tell('reconnect', () => `sink and source are back, in ${bridge.server}`);
  tell('backendLost', ({ direction, error }) => `${direction}: ${error.message}; waiting for the backend`);
  tell(
    'backendBack',
    ({ direction, gap }) => `${direction}: the backend is back after ${Math.round(gap)} ms`,
  );
  tell(
    'warning',
    ({ direction, message }) => `warning: ${direction === undefined ? '' : `${direction}: `}${message}`,
  );
  if (!terminal.live) return () => {};
  const show = () => {
    if (bridge.state !== 'closed') terminal.paint(statusOf(bridge).slice(0, terminal.width - 1));
  };
  const timer = setInterval(show, REFRESH);
  return () => {
    clearInterval(timer);
    terminal.release();
  };
}

function statusOf({ state, endpoints }: Bridge): string {
  if (state !== 'running') return 'waiting for the sound server';
  return endpoints.map(describeEndpoint).join('   ');
}

function describeEndpoint({ direction, rate, statistics }: BridgeEndpoint): string {
  const { active, frames, latency, xruns } = statistics;
  const carried = `${(frames / rate).toFixed(1)} s`;
  if (!active) return `${direction} asleep, ${carried}`;
  return `${direction} ${carried}, latency ${latency.toFixed(0)} ms, xruns ${xruns}`;
}
