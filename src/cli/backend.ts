import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Backend } from '../backend/backend.ts';
import { parseSink, parseSource, type SinkName, type SourceName } from '../backend/device-names.ts';
import { formatAmount, LIMITS, type LimitSetting, parseLimit } from '../backend/limits.ts';
import { type BackendLogEntry, formatLogEntry } from '../backend/log.ts';
import { loadSetPipeSize, type SetPipeSize } from '../backend/piped-program.ts';
import { openRouter } from '../backend/router.ts';
import { fittingRoute, parseRoute, type Route } from '../backend/routes.ts';
import { DEVICE_CLASS } from '../config/fields.ts';
import { guestsMethod } from '../control/guests.ts';
import { BACKEND_SOCKET, EMULATED_BACKEND_SOCKET } from '../control/places.ts';
import { offerControl } from '../control/server.ts';
import { startTrialMachine } from '../emulation/trial.ts';
import { VsndError } from '../errors.ts';
import { type MetricsAddress, metricsUrl, parseMetricsAddress } from '../metrics/address.ts';
import { offerMetrics } from '../metrics/offer.ts';
import { ReleaseStack } from '../release-stack.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import { openLinuxHypervisor } from '../xen/linux/hypervisor.ts';
import { type OptionValues, throwUsageError } from './arguments.ts';
import { defineCommand } from './command.ts';
import { useEveryStream } from './every-stream.ts';
import { inLine, misnamedWav } from './messages.ts';
import type { Terminal } from './terminal.ts';
import { version } from './version.ts';

/** Linux's XenStore device, in every domain. */
const XENBUS = '/dev/xen/xenbus';

export interface BackendCommandOptions {
  readonly routes: readonly Route[];
  readonly sink: SinkName | undefined;
  readonly source: SourceName | undefined;
  readonly limits?: readonly LimitSetting[] | undefined;
  /** A JSON object a line, for machines. */
  readonly json: boolean;
  /** Where Prometheus finds metrics; undefined where it finds none. */
  readonly metrics?: MetricsAddress | undefined;
  /** The name of the control socket; undefined where there is none. */
  readonly control?: string | undefined;
  /** Without it, the pipes to players keep their 64 KiB. */
  readonly setPipeSize?: SetPipeSize | undefined;
}

export const BACKEND_OPTIONS = {
  sink: {
    argument: 'SINK',
    help: `where playback streams go that no --map fits (default: the device that a stream's unique-id
      names (alsa, pulse), else to null)`,
    valuesTitle: 'Sinks',
    values: {
      null: 'nowhere, at the pace of a real card',
      speaker: "this machine's speakers, by the npm package speaker",
      'wav:FILE': `a WAV file for each OPEN of a stream: FILE, then FILE with -2, -3; may have {domid} {devid}
        {pcm} {stream} {id}`,
      'exec:COMMAND': `a program that plays its standard input, run by sh; may have {rate} {channels} {format}
        {pulse-format} {pw-format} {domid} {devid} {pcm} {stream}, or $VSND_RATE and so on`,
      alsa: 'aplay; alsa<hw:0;0> for the device hw:0,0',
      pulse: 'pacat; pulse<SINK>, or pulse<SINK>media.role:music',
      pipewire: 'pw-cat; pipewire<NODE> for the node of that name',
    },
  },
  source: {
    argument: 'SOURCE',
    help: `where capture streams come from that no --map fits (default: the device that a stream's
      unique-id names, else silence)`,
    valuesTitle: 'Sources',
    values: {
      silence: 'nothing, at the pace of a real card',
      'sine:HZ': 'a sine of HZ at -20 dBFS; sine alone is one of 1000 Hz',
      'wav:FILE': 'a WAV file, over and over; FILE as above',
      'exec:COMMAND': "a program's standard output; COMMAND as above",
      alsa: 'arecord; alsa<hw:0;0> for the device hw:0,0',
      pulse: 'parec; pulse<SOURCE>, or pulse<SOURCE>media.role:phone',
      pipewire: 'pw-cat; pipewire<NODE> for the node of that name',
    },
  },
  map: {
    argument: 'ID=SINK|SOURCE',
    multiple: true,
    help: `for the streams whose unique-id is ID; a * in ID stands for any characters; of several --map the
      first that fits counts`,
  },
  limit: {
    argument: '[DOMID:]NAME=NUMBER',
    multiple: true,
    help: `what a guest may have at most, whatever it asks for: all guests, or the one with that domid; K, M, G and T
      behind the number are powers of 1024`,
    valuesTitle: 'Limits of a guest',
    values: limitValues(),
  },
  metrics: {
    argument: '[HOST:]PORT',
    help: `answer Prometheus at http://HOST:PORT/metrics; without HOST, only programs of this machine; unix:PATH for a
      socket that only this user and root can use`,
  },
  json: { help: 'print a JSON object a line' },
  emulate: {
    help: `serve a guest of an emulated Xen machine that plays a tone into each stream of its card, and captures: to
      try sinks, sources and maps`,
  },
} as const;

/** The limits as --help lists them, each with its default. */
function limitValues(): Record<string, string> {
  const entries = Object.entries(LIMITS).map(([name, limit]) => [
    `${name}=${formatAmount(limit.default)}`,
    `${limit.unit}: ${limit.help}`,
  ]);
  return Object.fromEntries(entries);
}

/** `vsnd backend`: serves guests until it is ended. Returns when every device has been closed. */
export const backend = defineCommand({
  name: 'backend',
  summary: 'serve the sound cards of guests, in Dom0 or a driver domain',
  description: [
    `Serves the virtual sound cards (vsnd) that the toolstack gives to guests, until it is ended (SIGTERM,
    Ctrl-C). Runs in Dom0, or in the domain that backend= in the guests' configurations names. Prints a line
    for each thing that happens.`,
  ],
  options: BACKEND_OPTIONS,
  examples: {
    'vsnd backend': 'to the devices that the streams name',
    "vsnd backend --sink 'wav:/var/tmp/{domid}-{devid}-{pcm}-{stream}.wav'": 'a file for each stream',
    "vsnd backend --map 'radio*=null' --sink 'alsa<hw:0;0>' --source alsa": 'all but the radio, to ALSA',
    "vsnd backend --sink 'exec:aplay -q -t raw -r {rate} -c {channels} -f {format}'":
      'a program for each stream',
    'vsnd backend --limit streams=4 --limit 7:wav-bytes=100G': 'less for every guest, more for one',
    "vsnd backend --emulate --map 'playback0=wav:heard.wav'": 'try it before a guest does',
  },
  isService: true,
  run: async ({ values }, { terminal, signal }) => {
    const options = parseBackendOptions(values);
    for (const sink of [options.sink, ...options.routes.map((route) => route.sink)]) {
      const warning = sink?.kind === 'wav' && misnamedWav(sink.file);
      if (warning) terminal.complain(warning);
    }
    if (values.emulate) await serveEmulatedGuest(options, terminal, signal);
    else await serveThisDomain(options, terminal, signal);
    return true;
  },
});

async function serveThisDomain(
  options: BackendCommandOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  if (!existsSync(XENBUS)) {
    throw new VsndError('ERR_VSND_NO_XEN', `this machine is not a domain of Xen: there is no ${XENBUS}`);
  }
  const hypervisor = await openLinuxHypervisor();
  try {
    const setPipeSize = loadSetPipeSize();
    await serveGuests(hypervisor, { ...options, control: BACKEND_SOCKET, setPipeSize }, terminal, signal);
  } finally {
    await hypervisor.close();
  }
}

/** Its guest plays and captures, so that sinks, sources and maps can be tried. The guest leaves before its backend does. */
async function serveEmulatedGuest(
  options: BackendCommandOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const { dom0, guest, close } = startTrialMachine();
  const [guestStops, backendStops] = [new AbortController(), new AbortController()];
  signal.addEventListener('abort', () => guestStops.abort(), { once: true });
  if (signal.aborted) guestStops.abort();
  const control = EMULATED_BACKEND_SOCKET;
  const served = serveGuests(dom0, { ...options, control }, terminal, backendStops.signal);
  served.catch(() => guestStops.abort());
  try {
    await useEveryStream(guest, guestStops.signal, (message) => terminal.complain(message));
  } finally {
    backendStops.abort();
    try {
      await served;
    } finally {
      await close();
    }
  }
}

/** Throws {@link UsageError}. */
export function parseBackendOptions(values: OptionValues<typeof BACKEND_OPTIONS>): BackendCommandOptions {
  try {
    return {
      routes: (values.map ?? []).map(parseRoute),
      sink: values.sink === undefined ? undefined : parseSink(values.sink),
      source: values.source === undefined ? undefined : parseSource(values.source),
      limits: (values.limit ?? []).map((limit) => parseLimit(limit)),
      metrics: values.metrics === undefined ? undefined : parseMetricsAddress(values.metrics),
      json: values.json ?? false,
    };
  } catch (error) {
    return throwUsageError(error);
  }
}

/**
 * Serves the guests of a machine, and prints what happens, until `signal` aborts; then closes every device. Rejects with
 * {@link UsageError} where metrics cannot be served at their place.
 */
export async function serveGuests(
  hypervisor: Hypervisor,
  { routes, sink, source, limits, json, metrics, control, setPipeSize }: BackendCommandOptions,
  terminal: Pick<Terminal, 'say'>,
  signal: AbortSignal,
): Promise<void> {
  const log = (entry: BackendLogEntry) => terminal.say(logLine(new Date(), entry, json));
  const releases = new ReleaseStack();
  try {
    // Two backends in one domain would answer the same guests.
    const claim = await hypervisor.claim(`backend/${DEVICE_CLASS}`);
    releases.push(() => claim.release());
    const { clock } = hypervisor;
    const routed = await openRouter({ routes, sink, source, clock, setPipeSize });
    const fitted = new Set<Route | undefined>();
    const deviceFor: typeof routed = (address) => {
      fitted.add(fittingRoute(routes, address.config));
      return routed(address);
    };
    // Before any guest is served: an address that cannot be had throws none of them out.
    const offered = metrics && (await offerMetrics(metrics, clock, version()).catch(throwUsageError));
    if (offered) {
      releases.push(() => offered.close());
      log({ message: `metrics at ${metricsUrl(offered.address)}` });
    }
    const served = await Backend.start(hypervisor, { deviceFor, limits, log: (_, entry) => log(entry) });
    releases.push(() => served.close());
    offered?.show(served);
    if (control !== undefined) {
      const guests = guestsMethod(() => ({ pid: process.pid, cards: served.status }));
      releases.push(await offerControl(guests, { name: control }));
    }
    log({ message: `serving the guests of this domain, on ${hypervisor.description}` });
    if (!signal.aborted) await Promise.race([once(signal, 'abort'), failure(served)]);
    log({ message: 'closing every device' });
    for (const route of routes) {
      if (!fitted.has(route)) log({ message: `--map ${route.pattern}=... has fitted no stream` });
    }
  } finally {
    await releases.releaseAll();
  }
  log({ message: 'ended' });
}

/** Rejects when XenStore is lost for good: a backend that is deaf serves nobody, and whoever supervises it starts it anew. */
async function failure(served: Backend): Promise<never> {
  throw await served.failed;
}

/** One line, whatever a guest has written into it. */
export function logLine(time: Date, entry: BackendLogEntry, json: boolean): string {
  const { domid, devid, stream, message } = entry;
  if (json) return JSON.stringify({ time: time.toISOString(), domid, devid, stream, message });
  return inLine(`${time.toISOString()} ${formatLogEntry(entry)}`);
}
