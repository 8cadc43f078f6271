import type { Guest } from './guest.ts';
import type { CaptureDevice, CaptureVoice, PlaybackDevice, PlaybackVoice } from './pcm-device.ts';

/** The same device, with a note of each OPEN and its CLOSE. */
export function loggedPlayback(device: PlaybackDevice, log: (message: string) => void): PlaybackDevice {
  return {
    ...device,
    openPlayback: async (params, feed) => {
      const voice = await device.openPlayback(params, feed);
      log(`opened: ${params.format}, ${params.rate} Hz, ${params.channels} channels`);
      return playbackUntil(voice, () => log('closed'));
    },
  };
}

/** As {@link loggedPlayback}. */
export function loggedCapture(device: CaptureDevice, log: (message: string) => void): CaptureDevice {
  return {
    ...device,
    openCapture: async (params, feed) => {
      const voice = await device.openCapture(params, feed);
      log(`opened: ${params.format}, ${params.rate} Hz, ${params.channels} channels`);
      return captureUntil(voice, () => log('closed'));
    },
  };
}

/** The same device, whose program counts as one of those that the guest may have. */
export function countedPlayback(device: PlaybackDevice, guest: Guest): PlaybackDevice {
  return {
    ...device,
    openPlayback: async (params, feed) => {
      const release = guest.hold('programs', 1, 'one more program');
      const voice = await device.openPlayback(params, feed).catch((error: Error) => {
        release();
        throw error;
      });
      return playbackUntil(voice, release);
    },
  };
}

/** As {@link countedPlayback}. */
export function countedCapture(device: CaptureDevice, guest: Guest): CaptureDevice {
  return {
    ...device,
    openCapture: async (params, feed) => {
      const release = guest.hold('programs', 1, 'one more program');
      const voice = await device.openCapture(params, feed).catch((error: Error) => {
        release();
        throw error;
      });
      return captureUntil(voice, release);
    },
  };
}

/** The same voice; `ended` is called when it has been closed, or could not be. */
function playbackUntil(voice: PlaybackVoice, ended: () => void): PlaybackVoice {
  return {
    ...triggersOf(voice),
    refilled: () => voice.refilled(),
    close: async (options) => {
      await voice.close(options).finally(ended);
    },
  };
}

function captureUntil(voice: CaptureVoice, ended: () => void): CaptureVoice {
  return {
    ...triggersOf(voice),
    close: async () => {
      await voice.close().finally(ended);
    },
  };
}

/** Spread, a voice would lose its methods. */
function triggersOf(voice: Omit<CaptureVoice, 'close'>): Omit<CaptureVoice, 'close'> {
  return {
    start: () => voice.start(),
    pause: () => voice.pause(),
    resume: () => voice.resume(),
    stop: () => voice.stop(),
  };
}
