import { finished } from 'node:stream/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Backend } from '../../src/backend/backend.ts';
import { type MemoryDevice, memoryDevice } from '../../src/backend/devices.ts';
import { RealClock } from '../../src/clock.ts';
import { Card } from '../../src/frontend/card.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { createSoundCard } from '../../src/xen/emulated/toolstack.ts';
import type { Hypervisor } from '../../src/xen/hypervisor.ts';
import { FRAME, noise, STEREO } from '../sound.ts';
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
    const frames = noise(48_000 * FRAME);
    stream.end(frames);
    await finished(stream);
    expect(frames.equals(device.heard())).toBe(true);
  });

  test('that rests knows of every position when somebody looks', async () => {
    const { card, device } = await openGuest();
    const stream = card.createPlaybackStream({ ...STEREO, bufferFrames: 9600, periodFrames: 480 });
    stream.write(noise(48_000 * FRAME));
    await vi.waitUntil(() => device.heard().length > 12_000 * FRAME);
    expect(stream.position * FRAME).toBe(device.heard().length);
    stream.destroy();
    await finished(stream).catch(() => {});
  });
});
