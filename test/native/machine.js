// A process with both ends of a card over the devices of stand-in.c: the guest's here, domain 0's in a worker. Its XenStore is the test's.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { openCard } from '../../dist/index.js';
import { openLinuxHypervisor } from '../../dist/xen/linux/hypervisor.js';

/** What domain 0 tells: how many frames were played, how often nothing was left to play, and whether that is so. */
export const PLAYED = 0;
export const DRY = 1;
export const IS_DRY = 2;
const COUNTS = 3;

export const FORMAT = { rate: 48_000, channels: 2, format: 's16_le' };

export const held = () => readFileSync('/xen-stand-in/state', 'utf8').trim().replaceAll('\n', ', ');

/** Domain 0, which serves the guest's cards from now on. */
export class Domain0 {
  #worker;
  #counts;

  static async start(addon) {
    const domain = new Domain0();
    const counts = new Int32Array(new SharedArrayBuffer(4 * COUNTS));
    domain.#counts = counts;
    domain.#worker = new Worker(new URL('./domain0.js', import.meta.url), { workerData: { addon, counts } });
    await once(domain.#worker, 'message');
    return domain;
  }

  get played() {
    return Atomics.load(this.#counts, PLAYED);
  }

  get dry() {
    return Atomics.load(this.#counts, DRY);
  }

  /** Keeps JavaScript busy until so many frames more have been played; false where nothing is left before. */
  keepBusy(frames) {
    const end = this.played + frames;
    while (this.played < end) if (Atomics.load(this.#counts, IS_DRY) === 1) return false;
    return true;
  }

  /** Bytes that are captured from now on. */
  say(bytes) {
    this.#worker.postMessage(bytes);
  }

  /** Ends it in order; gives what it has heard. */
  async end() {
    const ending = [once(this.#worker, 'message'), once(this.#worker, 'exit')]; // they may come in one turn
    this.#worker.postMessage('end');
    const [[heard]] = await Promise.all(ending);
    return Buffer.from(heard);
  }

  /** Ends it in the middle of what it does. */
  async die() {
    await this.#worker.terminate();
  }
}

/** The guest's only card, with one playback stream and one capture stream. */
export async function openGuest(addon, { engine = 'native', ...options } = {}) {
  const claims = join(tmpdir(), `vsnd-claims-${process.pid}`);
  writeFileSync(claims, ''); // the stand-in's xenbus is a socket, which cannot be locked
  const hypervisor = await openLinuxHypervisor({
    ...{ devices: '/xen-stand-in/1', addon, claims },
    threaded: engine === 'native',
  });
  return { hypervisor, card: await openCard({ hypervisor, engine, ...options }) };
}
