import { parentPort, workerData } from 'node:worker_threads';
import { Backend } from '../backend/backend.ts';
import { openSink } from '../backend/sinks.ts';
import { FastClock, RealClock } from '../clock.ts';
import { isVsndError } from '../errors.ts';
import { connectDomain } from '../xen/emulated/remote.ts';
import type { BackendWorkerData, FromBackendWorker, ToBackendWorker } from './protocol.ts';

/** The thread of an emulated machine in which domain 0 runs its backend. */
async function main(): Promise<void> {
  const { port, sink: name, fast, queueMode } = workerData as BackendWorkerData;
  const hypervisor = await connectDomain(port, { clock: new RealClock() });
  const sink = await openSink(name, fast ? new FastClock() : new RealClock());
  const backend = await Backend.start(hypervisor, {
    deviceFor: () => sink.device,
    queueMode,
    log: (message) => say({ type: 'log', message }),
  });
  const { kind, device, file } = sink;
  const info = { kind, description: device.description, ...(file !== undefined && { file }) };
  parentPort?.once('message', async (_message: ToBackendWorker) => {
    await backend.close();
    await hypervisor.close();
    process.exit(0); // a speaker's addon may hold the thread otherwise
  });
  say({ type: 'ready', sink: info, formats: device.formats });
}

function say(message: FromBackendWorker): void {
  parentPort?.postMessage(message);
}

main().catch((error: Error) => {
  const code = isVsndError(error) ? error.code : 'ERR_VSND_DEVICE';
  const errno = isVsndError(error) ? error.errno : undefined;
  say({ type: 'failed', code, message: error.message, ...(errno !== undefined && { errno }) });
});
