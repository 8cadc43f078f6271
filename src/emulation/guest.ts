import { isatty } from 'node:tty';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { QueueMode } from '../backend/playback-queue.ts';
import { invalidArgError, VsndError } from '../errors.ts';
import { checkOptionNames, type OptionNames } from '../option-names.ts';
import { ReleaseStack } from '../release-stack.ts';
import { EmulatedMachine } from '../xen/emulated/machine.ts';
import { serveDomain } from '../xen/emulated/remote.ts';
import { createSoundCard, type Fields, type SoundCardOptions } from '../xen/emulated/toolstack.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import type {
  BackendWorkerData,
  Chosen,
  DeviceLimits,
  FromBackendWorker,
  SinkInfo,
  SourceInfo,
  ToBackendWorker,
} from './protocol.ts';

export interface EmulatedGuestOptions {
  /**
   * Where sound goes: see SINK_NAMES; or 'any', which is the default: the first of PipeWire, PulseAudio, ALSA and the npm
   * package speaker that plays here, else null; null where nobody listens: without a terminal, with CI set, or with `fast`.
   */
  sink?: string | undefined;
  /**
   * What is captured: see SOURCE_NAMES; by default 'sine', of 1000 Hz; or 'any': the first of PipeWire, PulseAudio and ALSA
   * that captures here, else sine; sine where nobody listens.
   */
  source?: string | undefined;
  /** The sound card does not keep time: it plays as fast as data comes. Not for a sink with a clock of its own, nor for the source. */
  fast?: boolean | undefined;
  /** Parts per million by which the sound card's clock is fast; negative, slow. By default 0. */
  deviation?: number | undefined;
  /** When the backend takes data out of the shared buffer; by default 'copy', at WRITE. */
  queueMode?: QueueMode | undefined;
  /** One line for each thing that happens to the backend. */
  log?: ((message: string) => void) | undefined;
}

const EMULATED_GUEST_OPTIONS: OptionNames<EmulatedGuestOptions> = {
  sink: true,
  source: true,
  fast: true,
  deviation: true,
  queueMode: true,
  log: true,
};

/** A guest of an emulated machine, with one sound card of several PCM devices, whose backend runs in a thread of its own. */
export interface EmulatedGuest {
  readonly hypervisor: Hypervisor;
  readonly sink: Chosen<SinkInfo>;
  readonly source: Chosen<SourceInfo>;
  /** Why its backend has refused what it refused last, as in 'aplay ended with status 1'; undefined where it never has. */
  readonly lastRefusal: string | undefined;
  /** Closes the backend's devices, ends its thread and the machine. Idempotent. */
  close(): Promise<void>;
}

/** In the place of a sink or a source: the first that there is here. */
export const ANY = 'any';

/** Parts per million; no crystal is that far off. */
const LARGEST_DEVIATION = 10_000;

/** Hz; what WAV files commonly have. */
const RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000];

const CHANNELS = { min: 1, max: 8 };

/** PCM devices beside the general one, for programs that play different things at once. */
const ZONES = ['Zone 2', 'Zone 3'];

/** Bytes: 100 ms of 8 channels of float64 at 192 kHz, and some. */
const BUFFER_SIZE = 2 << 20;

/** Starts it. Rejects as sink and source do: ERR_VSND_INVALID_ARG, ERR_VSND_DEVICE or ERR_VSND_FILE. */
export async function startEmulatedGuest(options: EmulatedGuestOptions = {}): Promise<EmulatedGuest> {
  checkOptionNames('startEmulatedGuest()', options, EMULATED_GUEST_OPTIONS);
  if (!(Math.abs(options.deviation ?? 0) <= LARGEST_DEVIATION)) {
    throw invalidArgError(
      'deviation',
      options.deviation,
      `-${LARGEST_DEVIATION} to ${LARGEST_DEVIATION} (parts per million)`,
    );
  }
  const machine = new EmulatedMachine();
  const releases = new ReleaseStack();
  releases.push(() => machine.close());
  try {
    const guest = machine.createDomain();
    const { port1, port2 } = new MessageChannel();
    serveDomain(machine.startProcess(0), port1);
    port1.unref();
    releases.push(() => port1.ref()); // the machine's close waits for what is under way there
    const worker = startBackend(port2, options);
    let lastRefusal: string | undefined;
    worker.on('message', (message: FromBackendWorker) => {
      if (message.type === 'log') lastRefusal = / refused: (.*)$/s.exec(message.message)?.[1] ?? lastRefusal;
    });
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    releases.push(() => stopBackend(worker, exited));
    const { sink, source, playback, capture } = await backendReady(worker, options);
    createSoundCard(machine, emulatedCard(guest.domid, playback, capture));
    return {
      hypervisor: guest,
      sink: { ...sink, isChosen: (options.sink ?? ANY) === ANY },
      source: { ...source, isChosen: options.source === ANY },
      get lastRefusal() {
        return lastRefusal;
      },
      close: () => releases.releaseAll(),
    };
  } catch (error) {
    await releases.releaseAll();
    throw error;
  }
}

/** `port`: to the machine. */
function startBackend(port: MessagePort, options: EmulatedGuestOptions): Worker {
  const { sink = ANY, source = 'sine', fast = false, deviation = 0, queueMode = 'copy' } = options;
  const chosen = {
    sink: sink === ANY ? (hasListener() && !fast ? undefined : 'null') : sink,
    source: source === ANY ? (hasListener() ? undefined : 'sine') : source,
  };
  const workerData: BackendWorkerData = { port, ...chosen, fast, deviation, queueMode };
  const worker = new Worker(new URL('./backend-worker.js', import.meta.url), {
    workerData,
    transferList: [port],
    execArgv: [], // the process's own may be --eval or --import: not for this thread
  });
  worker.unref();
  return worker;
}

/** Whether somebody may sit here and listen. */
function hasListener(): boolean {
  return !process.env['CI'] && (isatty(1) || isatty(2));
}

/** A bundle that has vsnd in it lacks the thread's file. */
function withAdvice(error: NodeJS.ErrnoException): Error {
  if (!/MODULE_NOT_FOUND|MODULE_LOAD|ENOENT/.test(`${error.code} ${error.message}`)) return error;
  const message = `the emulated machine's thread cannot be loaded: ${error.message}; in a bundle, mark 'vsnd' as external`;
  return new VsndError('ERR_VSND_NOT_SUPPORTED', message, { cause: error });
}

async function backendReady(worker: Worker, { log }: EmulatedGuestOptions) {
  worker.ref();
  const ready = new Promise<Extract<FromBackendWorker, { type: 'ready' }>>((resolve, reject) => {
    worker.on('message', (message: FromBackendWorker) => {
      if (message.type === 'ready') resolve(message);
      else if (message.type === 'log') log?.(message.message);
      else
        reject(new VsndError(message.code, message.message, message.errno ? { errno: message.errno } : {}));
    });
    worker.once('error', (error: NodeJS.ErrnoException) => reject(withAdvice(error)));
  });
  try {
    return await ready;
  } finally {
    worker.unref();
  }
}

/** `exited`: one that failed may be gone already. */
async function stopBackend(worker: Worker, exited: Promise<void>): Promise<void> {
  worker.ref();
  worker.postMessage('close' satisfies ToBackendWorker);
  await exited;
}

/** The card of such a guest. */
export function emulatedCard(
  frontendDomid: number,
  playback: DeviceLimits,
  capture: DeviceLimits,
): SoundCardOptions {
  const playbackStream = (id: number) => ({
    fields: { type: 'p', 'unique-id': `playback${id}`, ...limitFields(playback) },
  });
  const captureStream = { fields: { type: 'c', 'unique-id': 'capture0', ...limitFields(capture) } };
  return {
    frontendDomid,
    fields: {
      'short-name': 'Emulated',
      'long-name': 'Emulated virtual sound card',
      'buffer-size': String(BUFFER_SIZE),
    },
    pcmDevices: [
      { fields: { name: 'General' }, streams: [playbackStream(0), captureStream] },
      ...ZONES.map((name, zone) => ({ fields: { name }, streams: [playbackStream(zone + 1)] })),
    ],
  };
}

function limitFields({ formats, rates = RATES, channels = CHANNELS }: DeviceLimits): Fields {
  return {
    'sample-formats': formats.join(','),
    'sample-rates': rates.join(','),
    'channels-min': String(channels.min),
    'channels-max': String(channels.max),
  };
}
