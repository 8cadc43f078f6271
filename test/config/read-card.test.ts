import { beforeEach, describe, expect, it } from 'vitest';
import { readCardConfig } from '../../src/config/read-card.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { createSoundCard } from '../../src/xen/emulated/toolstack.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { EXAMPLE, EXAMPLE_CARD, EXAMPLE_CONFIG } from './nodes.ts';

describe('reading a card from XenStore', () => {
  let machine: EmulatedMachine;
  let guest: EmulatedDomain;
  let toolstack: XenStoreClient;
  let xenstore: XenStoreClient;

  beforeEach(async () => {
    machine = new EmulatedMachine();
    guest = machine.createDomain({ domid: 1 });
    createSoundCard(machine, { frontendDomid: 1, pcmDevices: [] });
    toolstack = await XenStoreClient.open(machine.dom0);
    xenstore = await XenStoreClient.open(guest);
    return async () => {
      await toolstack.close();
      await xenstore.close();
      machine.assertCleanedUp();
      await machine.close();
    };
  });

  /** Writes nodes below the card. */
  async function write(nodes: Record<string, string>): Promise<void> {
    for (const [path, value] of Object.entries(nodes))
      await toolstack.write(`${EXAMPLE_CARD}/${path}`, value);
  }

  /** The PCM devices found, and the unique-ids of their streams. */
  async function streams(): Promise<string[][]> {
    const { pcmDevices } = await readCardConfig(xenstore, EXAMPLE_CARD);
    return pcmDevices.map((device) => device.streams.map(({ uniqueId }) => uniqueId));
  }

  it("finds in sndif.h's example what it means, from the guest and from Dom0", async () => {
    for (const [path, value] of EXAMPLE) await toolstack.write(path, value);
    expect(await readCardConfig(xenstore, EXAMPLE_CARD)).toEqual(EXAMPLE_CONFIG);
    expect(await readCardConfig(toolstack, EXAMPLE_CARD)).toEqual(EXAMPLE_CONFIG);
  });

  it('finds it by a relative path too', async () => {
    await write({ '0/0/type': 'p' });
    const { pcmDevices } = await readCardConfig(xenstore, 'device/vsnd/0');
    expect(pcmDevices[0]?.streams[0]?.path).toBe('device/vsnd/0/0/0');
  });

  it('has no PCM devices where the toolstack wrote none', async () => {
    expect(await readCardConfig(xenstore, EXAMPLE_CARD)).toEqual({
      path: EXAMPLE_CARD,
      shortName: undefined,
      longName: undefined,
      pcmDevices: [],
      warnings: [],
    });
  });

  it('ends at the first gap in the indexes of PCM devices and of streams', async () => {
    await write({
      '0/0/type': 'p',
      '0/0/unique-id': 'a',
      '0/1/type': 'c',
      '0/1/unique-id': 'b',
      '0/3/type': 'p',
      '0/3/unique-id': 'behind a gap',
      '1/1/type': 'p',
      '1/1/unique-id': 'no stream 0',
      '3/0/type': 'p',
      '3/0/unique-id': 'behind a gap',
    });
    expect(await streams()).toEqual([['a', 'b'], []]);
    const { warnings } = await readCardConfig(xenstore, EXAMPLE_CARD);
    expect(warnings.map(({ path }) => path)).toEqual(
      ['2', '0/2', '1/0', '1/0'].map((path) => `${EXAMPLE_CARD}/${path}`),
    );
  });

  it('counts only indexes as they are written: no 00, no 1a', async () => {
    await write({
      '0/0/type': 'p',
      '0/0/unique-id': 'a',
      '0/01/type': 'x',
      '00/0/type': 'x',
      '1a/0/type': 'x',
      '-1/0/type': 'x',
    });
    expect(await streams()).toEqual([['a']]);
  });

  it('keeps the order of the numbers beyond nine', async () => {
    const nodes = Array.from({ length: 12 }, (_, index): [string, string][] => [
      [`0/${index}/type`, 'p'],
      [`0/${index}/unique-id`, `s${index}`],
    ]);
    await write(Object.fromEntries(nodes.flat().reverse()));
    expect(await streams()).toEqual([nodes.map((_, index) => `s${index}`)]);
  });

  it('passes over nodes that are none of its fields, whatever they say', async () => {
    await write({
      '0/0/type': 'p',
      '0/0/ring-ref': 'nonsense',
      '0/0/0/type': 'x',
      'channels-mean': '-1',
      '0/type': 'x',
      type: 'x',
      '0/unique-id': '9',
    });
    expect(await streams()).toEqual([['']]);
  });

  it('takes fields from each level, and none that it lacks', async () => {
    await write({
      'short-name': 'Card',
      'sample-rates': '8000,48000',
      '0/channels-max': '2',
      '0/0/type': 'c',
      '0/0/buffer-size': '4096',
    });
    expect(await readCardConfig(xenstore, EXAMPLE_CARD)).toMatchObject({
      shortName: 'Card',
      longName: undefined,
      pcmDevices: [
        {
          name: undefined,
          streams: [
            { type: 'capture', rates: [8000, 48000], channels: { min: 1, max: 2 }, bufferBytes: 4096 },
          ],
        },
      ],
    });
  });

  it('says which node is wrong, with its whole path', async () => {
    await write({ '0/0/type': 'p', '0/1/unique-id': '1' });
    await expect(readCardConfig(xenstore, EXAMPLE_CARD)).rejects.toMatchObject({
      code: 'ERR_VSND_CONFIG',
      path: `${EXAMPLE_CARD}/0/1/type`,
      message: `${EXAMPLE_CARD}/0/1/type is missing; allowed: "p" (playback) or "c" (capture)`,
    });
    await write({ '0/1/type': 'c', 'buffer-size': '-1' });
    const { warnings } = await readCardConfig(xenstore, EXAMPLE_CARD);
    expect(warnings).toMatchObject([{ path: `${EXAMPLE_CARD}/buffer-size` }]);
  });

  it('is refused where bytes are no text', async () => {
    await toolstack.write(`${EXAMPLE_CARD}/0/0/type`, Uint8Array.of(0xff, 0xfe, 0));
    await expect(readCardConfig(xenstore, EXAMPLE_CARD)).rejects.toMatchObject({
      code: 'ERR_VSND_CONFIG',
      message: expect.stringContaining(`${EXAMPLE_CARD}/0/0/type is "`),
    });
  });

  it('fails as XenStore does where there is no card, or it may not be read', async () => {
    await expect(readCardConfig(xenstore, 'device/vsnd/7')).rejects.toMatchObject({
      code: 'ERR_VSND_XENSTORE',
      errno: 'ENOENT',
      path: 'device/vsnd/7',
    });
    const stranger = await XenStoreClient.open(machine.createDomain({ domid: 2 }));
    await expect(readCardConfig(stranger, EXAMPLE_CARD)).rejects.toMatchObject({
      code: 'ERR_VSND_XENSTORE',
      errno: 'EACCES',
    });
    await stranger.close();
  });
});
