/** A decoder in WebAssembly, which holds memory until it is freed. */
export interface WasmDecoder {
  readonly ready: Promise<void>;
  free(): void;
}

/** A decoder once it is ready. */
export async function ready<T extends WasmDecoder>(decoder: T): Promise<T> {
  await decoder.ready;
  return decoder;
}

/**
 * What a decoder's call returns; undefined where it fails. A decoder prints what fails, and mpg123's then tries the same
 * again for ever: printing throws instead. The call is synchronous, nobody else prints meanwhile.
 */
export function attempt<T>(call: () => T): T | undefined {
  const { log, warn, error } = console;
  const fail = (...words: unknown[]): never => {
    throw new Error(words.join(' '));
  };
  Object.assign(console, { log: fail, warn: fail, error: fail });
  try {
    return call();
  } catch {
    return undefined;
  } finally {
    Object.assign(console, { log, warn, error });
  }
}

/** Channels as frames of float_le: the machines that there are prebuilt addons for are little-endian. */
export function interleave(channels: readonly Float32Array[], samples: number, amplitude = 1): Uint8Array {
  const frames = new Float32Array(samples * channels.length);
  const [left, right] = channels;
  if (left && right && channels.length === 2 && amplitude === 1) {
    for (let sample = 0, at = 0; sample < samples; sample++) {
      // twice as fast as what follows
      frames[at++] = left[sample] as number;
      frames[at++] = right[sample] as number;
    }
    return new Uint8Array(frames.buffer);
  }
  channels.forEach((channel, index) => {
    for (let sample = 0; sample < samples; sample++) {
      frames[sample * channels.length + index] = (channel[sample] as number) * amplitude;
    }
  });
  return new Uint8Array(frames.buffer);
}
