// Domain 0 in a thread of its own: a backend that keeps what it plays, and tells how far it is.
import { parentPort, workerData } from 'node:worker_threads';
import { Backend, memoryDevice, RealClock } from '../../dist/testing.js';
import { openLinuxHypervisor } from '../../dist/xen/linux/hypervisor.js';
import { DRY, IS_DRY, PLAYED } from './machine.js';

/** Moves by its timers alone, and by each when what has arrived was taken in: that this thread was late is nobody's underrun. */
class PatientClock {
  #now = 0;

  now() {
    return this.#now;
  }

  after(delay, callback) {
    const due = this.#now + delay;
    let turn;
    const timer = new RealClock().after(delay, () => {
      turn = setImmediate(() => {
        this.#now = Math.max(this.#now, due);
        callback();
      });
    });
    return {
      cancel: () => {
        timer.cancel();
        clearImmediate(turn);
      },
      unref: () => timer.unref(),
    };
  }
}

const { addon, counts } = workerData;
const memory = memoryDevice(new PatientClock());

function openPlayback(params, feed) {
  return memory.openPlayback(params, {
    get available() {
      return feed.available;
    },
    take: (most) => feed.take(most),
    played: (bytes) => {
      Atomics.store(counts, IS_DRY, 0);
      Atomics.add(counts, PLAYED, bytes / params.frameBytes);
      feed.played(bytes);
    },
    dry: () => {
      Atomics.add(counts, DRY, 1);
      Atomics.store(counts, IS_DRY, 1);
      feed.dry();
    },
    failed: (error) => feed.failed(error),
  });
}

const hypervisor = await openLinuxHypervisor({ devices: '/xen-stand-in/0', addon });
const backend = await Backend.start(hypervisor, { deviceFor: () => ({ ...memory, openPlayback }) });
parentPort.on('message', async (message) => {
  if (message instanceof Uint8Array) return memory.say(message);
  await backend.close();
  await hypervisor.close();
  parentPort.postMessage(memory.heard());
  parentPort.close();
});
parentPort.postMessage('ready');
