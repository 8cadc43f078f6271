import type { PcmSpec } from '../pcm/hw-params.ts';
import { pcmFormat } from '../wire/pcm-format.ts';

/** Frames of silence: at least so many bytes of them. */
export function silenceOf({ format, frameBytes }: PcmSpec, bytes: number): Buffer {
  const length = Math.ceil(bytes / frameBytes) * frameBytes;
  return Buffer.alloc(length, Uint8Array.from(pcmFormat(format).silence));
}
