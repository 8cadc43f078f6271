import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { Backend } from '../../src/backend/backend.ts';
import { type MemoryDevice, memoryDevice } from '../../src/backend/devices.ts';
import { RealClock } from '../../src/clock.ts';
import { Card } from '../../src/frontend/card.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { createSoundCard } from '../../src/xen/emulated/toolstack.ts';
import type { Hypervisor } from '../../src/xen/hypervisor.ts';
import { STEREO } from '../sound.ts';
import { held, NOTHING, named, openDomain, SKIP_REASON, serveStore } from './stand-in.ts';

describe.skipIf(SKIP_REASON)(named('The native engine'), () => {
  const releases: (() => Promise<unknown> | unknown)[] = [];

  afterEach(async () => {
    for (const release of releases.splice(0).reverse()) await release();
    expect(held()).toEqual(NOTHING);
  });

  async function openGuest(): Promise<{ card: Card; device: MemoryDevice; hypervisor: Hypervisor }> {
    const machine = new EmulatedMachine();
    const { domid } = machine.createDomain();
    createSoundCard(machine, {
      frontendDomid: domid,
      pcmDevices: [{ streams: [{ fields: { type: 'p' } }, { fields: { type: 'c' } }] }],
    });
    const store = await serveStore(machine);
    releases.push(() => store.close());
    const backendDomain = await openDomain(0);
    const hypervisor = await openDomain(domid, { threaded: true });
    const device = memoryDevice(new RealClock());
    const backend = await Backend.start(backendDomain, { deviceFor: () => device });
    const card = await Card.open(hypervisor, {});
    releases.push(() => hypervisor.close());
    releases.push(() => backendDomain.close());
    releases.push(() => backend.close());
    releases.push(() => card.close());
    return { card, device, hypervisor };
  }

  test('plays bit for bit', async () => {
    const { card, device } = await openGuest();
    const stream = card.createPlaybackStream(STEREO);
    const frames = noise(4 * 48_000);
    let positions = 0;
    stream.on('position', () => positions++);
    stream.end(frames);
    await finished(stream);
    expect(Buffer.compare(device.heard(), frames)).toBe(0);
    console.log(positions, stream.underruns, stream.clock, stream.position);
  });
});

function noise(frames: number): Buffer {
  const bytes = Buffer.alloc(frames * 4);
  let state = 1;
  for (let at = 0; at < bytes.length; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes.writeInt32LE(state, at);
  }
  return bytes;
}
void once;
