import { onTestFinished } from 'vitest';
import { ClockedVoice } from '../../../src/backend/clocked-voice.ts';
import type { PcmDevice } from '../../../src/backend/pcm-device.ts';
import { DeviatingClock } from '../../../src/clock.ts';
import { type Card, openCard } from '../../../src/index.ts';
import { Backend, createSoundCard, EmulatedMachine } from '../../../src/testing.ts';

/** A card on the machine's own clock, whose backend is in this process, tells what it plays, and can be restarted. */
export interface PlayingCard {
  readonly card: Card;
  /** What was played from each OPEN to its CLOSE. */
  readonly takes: Buffer[][];
  /** Called at the moment at which something is played. */
  listener: (bytes: Uint8Array) => void;
  /** Nobody serves the card until {@link startBackend}. */
  stopBackend(): Promise<void>;
  startBackend(): Promise<void>;
}

/** Closed, and checked to be so, after the test. `deviation`: by how much its clock is fast, ppm. `devices`: of PCM. */
export async function openPlayingCard(deviation = 0, devices = 1): Promise<PlayingCard> {
  const machine = new EmulatedMachine();
  const guest = machine.createDomain();
  const pcmDevices = Array.from({ length: devices }, (_, index) => ({
    streams: [{ fields: { type: 'p', 'unique-id': `playback${index}` } }],
  }));
  createSoundCard(machine, {
    frontendDomid: guest.domid,
    fields: { 'buffer-size': '262144', 'sample-rates': '48000', 'sample-formats': 's16_le' },
    pcmDevices,
  });
  const clock = new DeviatingClock(machine.dom0.clock, deviation);
  const takes: Buffer[][] = [];
  const device: PcmDevice = {
    description: 'tells what it plays',
    formats: ['s16_le'],
    openPlayback: async (params, feed) => {
      const pieces: Buffer[] = [];
      takes.push(pieces);
      const write = (bytes: Uint8Array): void => {
        pieces.push(Buffer.from(bytes));
        playing.listener(bytes);
      };
      return new ClockedVoice(params, feed, clock, { write, close: () => {} });
    },
  };
  const startBackend = () => Backend.start(machine.dom0, { deviceFor: () => device });
  let backend = await startBackend();
  const card = await openCard({ hypervisor: guest });
  const playing: PlayingCard = {
    card,
    takes,
    listener: () => {},
    stopBackend: () => backend.close(),
    startBackend: async () => {
      backend = await startBackend();
    },
  };
  onTestFinished(async () => {
    await card.close();
    await backend.close();
    await machine.settle();
    machine.assertCleanedUp();
    await machine.close();
  });
  return playing;
}
