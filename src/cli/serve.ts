import { once } from 'node:events';
import { join } from 'node:path';
import type { EmulatedGuest } from '../emulation/guest.ts';
import {
  type Card,
  createSoundServer,
  type SoundServer,
  type SoundServerEvents,
  type SoundServerOptions,
} from '../index.ts';
import { type CommandLine, parseIndex, parseNumber, UsageError } from './arguments.ts';
import { type CommandContext, defineCommand } from './command.ts';
import { CARD, checkEmulation, EMULATE, SINK, SOURCE } from './common-options.ts';
import { describeFormat } from './messages.ts';
import { offerOwnControl } from './own-control.ts';
import type { Terminal } from './terminal.ts';
import { withCard } from './with-card.ts';

/** Where every program of this guest looks that finds no server of its user's. */
const SYSTEM_SOCKET = '/run/pulse/native';

/** The first file descriptor that systemd hands over: SD_LISTEN_FDS_START. */
const FIRST_HANDED = 3;

const OPTIONS = {
  card: CARD,
  socket: { argument: 'PATH', help: "the socket (default: native in this user's directory for vsnd)" },
  default: {
    help: `listen where programs look with nothing set: as root ${SYSTEM_SOCKET}, for all users of this guest, else
      $XDG_RUNTIME_DIR/pulse/native; refused where something answers there`,
  },
  device: { argument: 'N', help: 'the PCM device that is the default one (default: the first)' },
  role: {
    argument: 'ROLE=N',
    help: 'streams of this media.role go to this PCM device, unless their program chooses one; several times',
    multiple: true,
  },
  name: { argument: 'NAME', help: "what programs call the sink (default: from the card's name)" },
  'no-sink': { help: 'programs cannot play' },
  'no-source': { help: 'programs cannot record' },
  latency: { argument: 'MS', help: 'what waits at the card at the most, 10 to 2000 (default: 100)' },
  rate: { short: 'r', argument: 'HZ', help: 'default: 48000, else the best that the card has' },
  channels: { short: 'c', argument: 'N', help: 'default: 2, else the nearest that the card has' },
  format: { short: 'f', argument: 'FORMAT', help: 'default: s16_le, else the best that the card has' },
  json: { help: 'one JSON object a line, for machines' },
  emulate: EMULATE,
  sink: SINK,
  source: SOURCE,
} as const;

/** `vsnd serve`: sound for the programs of a guest in which no sound server runs. */
export const serve = defineCommand({
  name: 'serve',
  summary: 'let programs play and record without a sound server',
  description: [
    `Takes the place of PulseAudio for the programs of this guest, until Ctrl-C: they play into this guest's virtual
    sound card, and record from it, in sync with its clock. Prints the PULSE_SERVER to set. Several are mixed. While nobody
    plays or records, the card is closed. See vsnd help server.md, also for the service, and vsnd bridge where a sound server runs.`,
  ],
  options: OPTIONS,
  examples: {
    'vsnd serve': 'the first card; PULSE_SERVER=unix:... mpv film.mkv plays on it',
    'sudo vsnd serve --default': 'for every program of this guest, with nothing to set',
    'vsnd serve --role navigation=1': 'prompts of the navigation on a PCM device of their own',
    'vsnd serve --emulate --sink wav:heard.wav': 'on any machine: what programs play goes into a file',
  },
  isService: true,
  run: runServer,
});

/** Returns when `signal` aborts. */
async function runServer(line: CommandLine<typeof OPTIONS>, context: CommandContext): Promise<boolean> {
  const { options, json, ...choice } = parseOptions(line);
  const { terminal, signal } = context;
  await withCard({ ...choice, hasOwnControl: true }, context, async (use) => {
    const { card, guest, releases } = use;
    const server = await createSoundServer(card, { ...options, signal });
    releases.push(() => server.close());
    const closed = once(server, 'close'); // at any moment: the signal closes it
    await offerOwnControl(use, {
      get clients() {
        return server.clients;
      },
      handleVolume: () => server.refreshVolumes(),
    });
    releases.push(json ? reportAsJson(server, terminal) : reportToPeople(server, card, guest, terminal));
    await closed;
  });
  return true;
}

function parseOptions({ values }: CommandLine<typeof OPTIONS>) {
  checkEmulation(values);
  const { emulate = false, sink, source } = values;
  if (values['no-sink'] && values['no-source']) {
    throw new UsageError('--no-sink and --no-source leave nothing to do');
  }
  if (values.default && values.socket !== undefined) {
    throw new UsageError('--default and --socket exclude each other');
  }
  const options: SoundServerOptions = {
    ...placeOf(values),
    name: values.name,
    device: parseIndex('--device', values.device),
    roles: Object.fromEntries((values.role ?? []).map(parseRole)),
    sink: values['no-sink'] ? false : undefined,
    source: values['no-source'] ? false : undefined,
    latency: parseNumber('--latency', values.latency, { min: 10, max: 2000, unit: 'ms' }),
    rate: parseIndex('--rate', values.rate),
    channels: parseIndex('--channels', values.channels),
    format: values.format as SoundServerOptions['format'], // checked against what the card has
  };
  return {
    options,
    card: parseIndex('--card', values.card),
    emulation: emulate ? { sink, source } : undefined,
    json: values.json ?? false,
  };
}

/** Where to listen: at what systemd has handed over, if it has. */
function placeOf({
  default: isDefault = false,
  socket,
}: {
  default?: boolean | undefined;
  socket?: string | undefined;
}): Pick<SoundServerOptions, 'path' | 'fd' | 'access'> {
  const { LISTEN_FDS, LISTEN_PID, XDG_RUNTIME_DIR } = process.env;
  if (LISTEN_FDS === '1' && LISTEN_PID === String(process.pid)) return { fd: FIRST_HANDED };
  if (!isDefault) return { path: socket };
  if (process.getuid?.() === 0) return { path: SYSTEM_SOCKET, access: 'all' };
  if (XDG_RUNTIME_DIR) return { path: join(XDG_RUNTIME_DIR, 'pulse', 'native') };
  throw new UsageError(`--default needs XDG_RUNTIME_DIR, or to be root, for ${SYSTEM_SOCKET}`);
}

function parseRole(text: string): [string, number] {
  const [, role, device] = /^([\w.-]+)=(\d{1,4})$/.exec(text) ?? [];
  if (role !== undefined && device !== undefined) return [role, Number(device)];
  throw new UsageError(`--role is '${text}'; allowed: a media.role, '=', and the number of a PCM device`);
}

/** What the server says, a line each, with the time and how it stands. Returns what ends that. */
function reportAsJson(server: SoundServer, terminal: Terminal): () => void {
  const say = (event: string, details: object = {}) => {
    const { address, sinks, sources, clients } = server;
    const time = new Date().toISOString();
    terminal.say(JSON.stringify({ time, event, ...details, address, sinks, sources, clients }));
  };
  say('listen');
  for (const event of ['connect', 'disconnect', 'start', 'stop', 'xrun', 'backendBack', 'warning'] as const) {
    server.on(event, (...[details]: unknown[]) => say(event, details as object));
  }
  server.on('backendLost', ({ name, error }) => say('backendLost', { name, reason: error.message }));
  return () => say('close');
}

/** The same for people. Returns what ends that. */
function reportToPeople(
  server: SoundServer,
  card: Card,
  guest: EmulatedGuest | undefined,
  terminal: Terminal,
): () => void {
  const where = guest
    ? `${guest.hypervisor.description}, sink ${guest.sink.description}, source ${guest.source.description}`
    : `this guest, through the backend in domain ${card.info.backendDomid}`;
  terminal.say(`card ${card.info.devid} of ${where}`);
  for (const target of [...server.sinks, ...server.sources]) {
    terminal.say(
      `PCM device ${target.device} is the ${target.direction} ${target.name}: ${describeFormat(target)}`,
    );
  }
  terminal.say(server.address === undefined ? 'listening for systemd' : `PULSE_SERVER=${server.address}`);
  const tell = <E extends keyof SoundServerEvents>(
    event: E,
    words: (...args: SoundServerEvents[E]) => string,
  ) => {
    server.on(event as string as 'close', (...args: unknown[]) =>
      terminal.say(words(...(args as SoundServerEvents[E]))),
    );
  };
  tell('connect', ({ name }) => `${name} has connected`);
  tell('disconnect', ({ name }) => `${name} has gone`);
  tell('xrun', ({ name, count }) => `${name}: xrun ${count}`);
  tell('backendLost', ({ name, error }) => `${name}: ${error.message}; waiting for the backend`);
  tell('backendBack', ({ name, gap }) => `${name}: the backend is back after ${Math.round(gap)} ms`);
  tell('warning', ({ message }) => `warning: ${message}`);
  return () => {};
}
