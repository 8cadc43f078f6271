import type { PcmFormatName } from '../wire/pcm-format.ts';

/** How frames lie in memory: interleaved, in a format of sndif.h. */
export interface FrameFormat {
  /** How one sample is laid out: a name of sndif.h. */
  readonly format: PcmFormatName;
  /** Hz */
  readonly rate: number;
  /** Channels of a frame, interleaved. */
  readonly channels: number;
}

/** A recording that can be read frame by frame: a file of any kind that vsnd knows, or what comes in at standard input. */
export interface AudioSource extends FrameFormat {
  /** The path, or what the stream is called. */
  readonly name: string;
  /** As a person reads it: WAV, AIFF, AU, FLAC, MP3, Ogg Vorbis, Ogg Opus, raw PCM. */
  readonly kind: string;
  /**
   * Frames in all, as far as the source says, or as can be found out without reading it; else undefined. A hint: all that there
   * is can be read, and where that turns out to be more it is undefined from then on.
   */
  readonly frames: number | undefined;
  /** Whether `read()` can begin elsewhere than at the start, and be called again. */
  readonly isSeekable: boolean;
  /** What is wrong with it, though it can be played: as in 'ends early'. */
  readonly warnings: readonly string[];
  /**
   * The frames from frame `from` on, in pieces of whole frames, of 64 KiB or a second of them, whichever is less, or more; a
   * stream's are as they come. One loop at a time; leaving
   * the loop ends it. Rejects with ERR_VSND_FILE where the file cannot be read, or is damaged beyond decoding.
   */
  read(from?: number): AsyncIterable<Uint8Array>;
  /** Idempotent. */
  close(): Promise<void>;
}
