import type { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';

/** Something worth knowing that ends nothing. */
export interface StreamWarning {
  readonly code: StreamWarningCode;
  readonly message: string;
}

export type StreamWarningCode =
  /** The data did not end at a frame. */
  | 'VSND_PARTIAL_FRAME'
  /** The position stopped before the end. */
  | 'VSND_DRAIN_STALLED'
  /** The backend's position does not move: paced by its answers. */
  | 'VSND_POSITION_STUCK'
  /** A backend that came back did not take the volume. */
  | 'VSND_VOLUME_LOST';

/** What streams of both kinds tell, Node's own events included. */
export interface StreamEvents {
  close: [];
  error: [error: Error & { code?: string }];
  /** The backend has reported a new position: frames played or captured since the stream was created. */
  position: [{ frames: number }];
  /** The backend has opened the stream; buffer and period are now known. */
  open: [];
  /** With `reconnect`: the backend is gone, and why; `frames`: the stream's position. */
  disconnect: [{ error: Error; frames: number }];
  /**
   * With `reconnect`: another one has opened the stream, which goes on at frame `frames`; `gap`: ms without
   * sound, from the last position before the loss to the new OPEN.
   */
  reconnect: [{ frames: number; gap: number }];
  warning: [StreamWarning];
}

export interface PlaybackStreamEvents extends StreamEvents {
  drain: [];
  finish: [];
  pipe: [source: Readable];
  unpipe: [source: Readable];
  /**
   * Nothing was left to play: after how many frames, and how often that has happened so far. Playing goes on with the next
   * write. With `estimated` it was the host that had nothing, between two positions, as their times show some seconds
   * later: for about `gap` ms; `count` is of these alone.
   */
  underrun: [{ frames: number; count: number; estimated?: true; gap?: number }];
}

export interface CaptureStreamEvents extends StreamEvents {
  data: [chunk: Buffer];
  end: [];
  pause: [];
  readable: [];
  resume: [];
  /**
   * Frames were captured for which there was no room. `lost`: how many, as far as the position tells; `frames`: where
   * capture goes on; `count`: how often that has happened so far. With `estimated` it was the host that lost them, between
   * two positions, as their times show some seconds later: about as many; `count` is of these alone.
   */
  overrun: [{ lost: number; frames: number; count: number; estimated?: true }];
}

/** A listener that throws is the user's affair: never a failure of the channel in whose handler we are. */
export function emitLater(stream: EventEmitter, event: string, ...args: unknown[]): void {
  process.nextTick(() => stream.emit(event, ...args));
}
