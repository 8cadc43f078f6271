import { parentPort, workerData } from 'node:worker_threads';
import { Backend } from '../backend/backend.ts';
import type { PcmDevice } from '../backend/pcm-device.ts';
import { firstSink, openSink } from '../backend/sinks.ts';
import { firstSource, openSource } from '../backend/sources.ts';
import { DeviatingClock, FastClock, RealClock } from '../clock.ts';
import { isVsndError } from '../errors.ts';
import { connectDomain } from '../xen/emulated/remote.ts';
import type { BackendWorkerData, DeviceLimits, FromBackendWorker, ToBackendWorker } from './protocol.ts';

/** The thread of an emulated machine in which domain 0 runs its backend. */
async function main(): Promise<void> {
  const { port, fast, deviation, queueMode, ...names } = workerData as BackendWorkerData;
  const hypervisor = await connectDomain(port, { clock: new RealClock() });
  const cardClock = new DeviatingClock(new RealClock(), deviation);
  const sinkClock = fast ? new FastClock() : cardClock;
  const sink = await (names.sink === undefined ? firstSink(sinkClock) : openSink(names.sink, sinkClock));
  // Without a clock it would capture more than anybody could read.
  const source = await (names.source === undefined
    ? firstSource(cardClock)
    : openSource(names.source, cardClock));
  const backend = await Backend.start(hypervisor, {
    deviceFor: (address) => (address.config.type === 'playback' ? sink : source).deviceFor(address),
    queueMode,
    log: (message) => say({ type: 'log', message }),
  });
  const [player, recorder] = [sink.deviceFor(), source.deviceFor()];
  const { kind, hasOwnClock, file } = sink;
  const info = { kind, description: player.description, hasOwnClock, ...(file !== undefined && { file }) };
  parentPort?.once('message', async (_message: ToBackendWorker) => {
    await backend.close();
    await hypervisor.close();
    process.exit(0); // a speaker's addon may hold the thread otherwise
  });
  say({
    type: 'ready',
    sink: info,
    source: { kind: source.kind, description: recorder.description },
    playback: limitsOf(player),
    capture: limitsOf(recorder),
  });
}

function limitsOf({ formats, rates, channels }: PcmDevice): DeviceLimits {
  return { formats, rates, channels };
}

function say(message: FromBackendWorker): void {
  parentPort?.postMessage(message);
}

main().catch((error: Error) => {
  const code = isVsndError(error) ? error.code : 'ERR_VSND_DEVICE';
  const errno = isVsndError(error) ? error.errno : undefined;
  say({ type: 'failed', code, message: error.message, ...(errno !== undefined && { errno }) });
});
