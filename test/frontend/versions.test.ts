import { describe, expect, test } from 'vitest';
import type { Card } from '../../src/frontend/card.ts';
import { openCard } from '../../src/open-card.ts';
import { createSoundCard, EmulatedMachine, ManualClock } from '../../src/testing.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { noise, STEREO } from '../sound.ts';
import { RawBackend } from './raw-backend.ts';
import { closing, startCard } from './setup.ts';

const FRONTEND = '/local/domain/1/device/vsnd/0';
const BACKEND = '/local/domain/0/backend/vsnd/1/0';

/** A guest with a card, and Dom0's view of its nodes; all must be released at the end. */
async function withMachine(
  body: (world: Awaited<ReturnType<typeof startMachine>>) => Promise<void>,
): Promise<void> {
  const world = await startMachine();
  await body(world);
  await world.dom0.close();
  await world.machine.settle();
  world.machine.assertCleanedUp();
}

async function startMachine() {
  const clock = new ManualClock();
  const machine = new EmulatedMachine({ clock });
  const guest = machine.createDomain();
  createSoundCard(machine, { frontendDomid: 1, pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }] });
  const dom0 = await XenStoreClient.open(machine.dom0);
  return { clock, machine, guest, dom0 };
}

/** Closes a card whose backend, being raw, does not answer that. */
async function leave(card: Card, clock: ManualClock): Promise<void> {
  const closed = card.close();
  await clock.advanceTime(3e9);
  await closed;
}

describe('a backend that lists the versions that it knows', () => {
  test.each(['2', '1,2', '2,1', '1, 2', ' 2', '2\n', '1,2,3'])(
    '%j: 2 is chosen, before our state is 3',
    (versions) =>
      withMachine(async ({ clock, machine, guest, dom0 }) => {
        await dom0.write(`${BACKEND}/versions`, versions);
        const chosen: (string | undefined)[] = [];
        await dom0.watch(`${FRONTEND}/state`, async () => {
          if ((await dom0.read(`${FRONTEND}/state`)) === '3')
            chosen.push(await dom0.readIfPresent(`${FRONTEND}/version`));
        });
        const backend = await RawBackend.start(machine, 1);
        const card = await openCard({ hypervisor: guest });
        expect(chosen).toEqual(['2']);
        expect(card.info.backendVersions).toBe(versions);
        await leave(card, clock);
        await backend.close();
      }),
  );

  test.each(['1', '3', '1,3', '22', '1,22', '', ',', '2.0', '-2', 'two', 'x'.repeat(2000)])(
    '%j: it is not spoken to, and nothing is left',
    (versions) =>
      withMachine(async ({ machine, guest, dom0 }) => {
        await dom0.write(`${BACKEND}/versions`, versions);
        const backend = await RawBackend.start(machine, 1);
        await expect(openCard({ hypervisor: guest })).rejects.toMatchObject({
          code: 'ERR_VSND_NOT_SUPPORTED',
          path: `${BACKEND}/versions`,
          message: `the backend knows the protocol's versions ${JSON.stringify(versions.slice(0, 80))}; vsnd speaks version 2`,
        });
        await machine.settle();
        const own = await dom0.directory(FRONTEND);
        expect(own).not.toContain('version');
        expect(await dom0.directory(`${FRONTEND}/0/0`)).toEqual(['type']);
        expect(await dom0.read(`${FRONTEND}/state`)).toBe('1');
        await backend.close();
      }),
  );

  test('that is started after us is asked then', () =>
    withMachine(async ({ clock, machine, guest, dom0 }) => {
      const opening = openCard({ hypervisor: guest });
      await machine.settle();
      await dom0.write(`${BACKEND}/versions`, '2');
      const backend = await RawBackend.start(machine, 1);
      const card = await opening;
      expect(await dom0.read(`${FRONTEND}/version`)).toBe('2');
      await leave(card, clock);
      await backend.close();
    }));
});

test('a backend that lists none is taken to know ours, and told nothing', () =>
  withMachine(async ({ clock, machine, guest, dom0 }) => {
    const backend = await RawBackend.start(machine, 1);
    const card = await openCard({ hypervisor: guest });
    expect(await dom0.directory(FRONTEND)).not.toContain('version');
    expect(card.info.backendVersions).toBeUndefined();
    const out = card.createPlaybackStream(STEREO);
    await machine.settle();
    expect(out.state).toBe('prepared');
    await leave(card, clock);
    await backend.close();
  }));

test('one that comes back without it is tried ten times; then the stream’s error names its versions', () =>
  withMachine(async ({ clock, machine, guest, dom0 }) => {
    const backend = await RawBackend.start(machine, 1);
    const card = await openCard({ hypervisor: guest, reconnect: true });
    const out = card.createPlaybackStream(STEREO);
    const closed = closing(out);
    out.write(noise(4000));
    await machine.settle();
    await dom0.write(`${BACKEND}/versions`, '3');
    await backend.say(2);
    await clock.advanceTime(10e9);
    expect(await closed).toMatchObject({
      code: 'ERR_VSND_NOT_SUPPORTED',
      message: expect.stringContaining('"3"'),
    });
    await leave(card, clock);
    await backend.close();
  }));

test('our own backend lists 2, and we choose it', async () => {
  const { guest, card } = await startCard();
  const dom0 = await XenStoreClient.open(guest.machine.dom0);
  expect(await dom0.read(`${BACKEND}/versions`)).toBe('2');
  expect(await dom0.read(`${FRONTEND}/version`)).toBe('2');
  await dom0.close();
  await card.close();
});
