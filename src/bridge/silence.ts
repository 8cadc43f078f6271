import type { PcmSpec } from '../pcm/hw-params.ts';
import { pcmFormat } from '../wire/pcm-format.ts';

/** Frames of silence: at least so many octets of them. */
export function silenceOf({ format, frameBytes }: PcmSpec, octets: number): Buffer {
  const length = Math.ceil(octets / frameBytes) * frameBytes;
  return Buffer.alloc(length, Uint8Array.from(pcmFormat(format).silence));
}
