import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Backend, type BackendLogEntry, formatLogEntry } from '../backend/backend.ts';
import { parseSink, parseSource, type SinkName, type SourceName } from '../backend/device-names.ts';
import type { SetPipeSize } from '../backend/player.ts';
import { openRouter } from '../backend/router.ts';
import { parseRoute, type Route } from '../backend/routes.ts';
import { DEVICE_CLASS } from '../config/fields.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { ReleaseStack } from '../release-stack.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import { loadAddon } from '../xen/linux/addon.ts';
import { openLinuxHypervisor } from '../xen/linux/hypervisor.ts';
import { parseCommandLine, UsageError } from './arguments.ts';
import { LogLimit } from './log-limit.ts';
import type { Terminal } from './terminal.ts';

/** Linux's XenStore device, in every domain. */
const XENBUS = '/dev/xen/xenbus';

export interface BackendCommandOptions {
  readonly routes: readonly Route[];
  readonly sink: SinkName | undefined;
  readonly source: SourceName | undefined;
  /** A JSON object a line, for machines. */
  readonly json: boolean;
  /** Without it, the pipes to players keep their 64 KiB. */
  readonly setPipeSize?: SetPipeSize | undefined;
}

/** `vsnd backend`: serves guests until `signal` aborts. Returns when every device has been closed. */
export async function backend(args: string[], terminal: Terminal, signal: AbortSignal): Promise<void> {
  const options = parseBackendOptions(args);
  if (!existsSync(XENBUS)) {
    throw new VsndError('ERR_VSND_NO_XEN', `this machine is not a domain of Xen: there is no ${XENBUS}`);
  }
  const hypervisor = await openLinuxHypervisor();
  try {
    const { setPipeSize } = loadAddon();
    await serveGuests(hypervisor, { ...options, setPipeSize }, terminal, signal);
  } finally {
    await hypervisor.close();
  }
}

/** Throws {@link UsageError}. */
export function parseBackendOptions(args: string[]): BackendCommandOptions {
  const { values } = parseCommandLine(
    'backend',
    args,
    {
      sink: { type: 'string' },
      source: { type: 'string' },
      map: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      emulate: { type: 'boolean' },
    },
    { takesFile: false },
  );
  if (values.emulate) {
    const advice = 'an emulated machine brings its own backend (vsnd play --emulate)';
    throw new UsageError(`--emulate, or VSND_EMULATE=1, is not for vsnd backend: ${advice}`, 'backend');
  }
  try {
    return {
      routes: (values.map ?? []).map(parseRoute),
      sink: values.sink === undefined ? undefined : parseSink(values.sink),
      source: values.source === undefined ? undefined : parseSource(values.source),
      json: values.json ?? false,
    };
  } catch (error) {
    if (isVsndError(error, 'ERR_VSND_INVALID_ARG')) throw new UsageError(error.message, 'backend');
    throw error;
  }
}

/**
 * Serves the guests of a machine, and prints what happens, until `signal` aborts; then closes every device.
 */
export async function serveGuests(
  hypervisor: Hypervisor,
  { routes, sink, source, json, setPipeSize }: BackendCommandOptions,
  terminal: Pick<Terminal, 'say'>,
  signal: AbortSignal,
): Promise<void> {
  const say = (entry: BackendLogEntry) => terminal.say(logLine(new Date(), entry, json));
  const limit = new LogLimit(hypervisor.clock, say);
  const log = (entry: BackendLogEntry) => limit.log(entry);
  const releases = new ReleaseStack();
  try {
    // Two backends in one domain would answer the same guests.
    const claim = await hypervisor.claim(`backend/${DEVICE_CLASS}`);
    releases.push(() => claim.release());
    const deviceFor = await openRouter({
      routes,
      sink,
      source,
      clock: hypervisor.clock,
      setPipeSize,
      log: (message, { frontendDomid: domid, devid, pcmDevice, config }) =>
        log({ message, domid, devid, stream: `${pcmDevice}/${config.index}` }),
    });
    const served = await Backend.start(hypervisor, { deviceFor, log: (_, entry) => log(entry) });
    releases.push(() => served.close());
    log({ message: `serving the guests of this domain, on ${hypervisor.description}` });
    if (!signal.aborted) await once(signal, 'abort');
    log({ message: 'closing every device' });
  } finally {
    await releases.releaseAll();
  }
  log({ message: 'ended' });
}

/** One line, whatever a guest has written into it. */
export function logLine(time: Date, entry: BackendLogEntry, json: boolean): string {
  const { domid, devid, stream, message } = entry;
  if (json) return JSON.stringify({ time: time.toISOString(), domid, devid, stream, message });
  return `${time.toISOString()} ${formatLogEntry(entry)}`.replace(/\p{Cc}/gu, '?');
}
