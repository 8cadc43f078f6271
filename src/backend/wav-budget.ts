import type { FrameSink } from './clocked-voice.ts';
import { type Guest, isRepeated } from './guest.ts';

/**
 * The WAV file that `open` creates, for as long as the guest may have one more, and more bytes in it. What is beyond that
 * goes nowhere, and the stream goes on.
 */
export function keepWithin(guest: Guest, open: () => FrameSink, log: (message: string) => void): FrameSink {
  const mayHave = (name: 'wav-files' | 'wav-bytes', amount: number, field: string) => {
    try {
      return guest.hold(name, amount, field);
    } catch (error) {
      if (!isRepeated(error)) log(`plays into nothing from here on: ${(error as Error).message}`);
      return undefined;
    }
  };
  const giveBack = mayHave('wav-files', 1, 'one more file');
  if (giveBack === undefined) return { write() {}, close() {} };
  const file = openOr(giveBack, open);
  let isFull = false;
  return {
    write: (bytes) => {
      isFull ||= mayHave('wav-bytes', bytes.length, 'what is to be kept') === undefined;
      if (!isFull) file.write(bytes);
    },
    close: () => file.close(),
  };
}

function openOr(giveBack: () => void, open: () => FrameSink): FrameSink {
  try {
    return open();
  } catch (error) {
    giveBack();
    throw error;
  }
}
