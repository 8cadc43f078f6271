import type { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';

/** Something worth knowing that ends nothing. */
export interface StreamWarning {
  /** For programs: stable. */
  readonly code: StreamWarningCode;
  /** For people. */
  readonly message: string;
}

/** What a stream warns of. */
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
  /** Node's own: nothing of the stream is left. Once. */
  close: [];
  /** Node's own: the stream has been destroyed, and why; docs/errors.md has the codes. */
  error: [
    error: Error & {
      /** Stable: ERR_VSND_… or Node's own. */
      code?: string;
    },
  ];
  /** The backend has reported a new position: frames played or captured since the stream was created. */
  position: [
    {
      /** Frames played or captured since the stream was created. */
      frames: number;
    },
  ];
  /** The backend has opened the stream; buffer and period are now known. */
  open: [];
  /** With `reconnect`: the backend is gone. */
  disconnect: [
    {
      /** Why. */
      error: Error;
      /** The stream's position. */
      frames: number;
    },
  ];
  /** With `reconnect`: another backend has opened the stream, which goes on. */
  reconnect: [
    {
      /** The frame at which it goes on. */
      frames: number;
      /** ms without sound: from the last position before the loss to the new OPEN. */
      gap: number;
    },
  ];
  /** Something worth knowing that ends nothing. */
  warning: [StreamWarning];
}

/** What a playback stream tells. */
export interface PlaybackStreamEvents extends StreamEvents {
  /** Node's own: there is room again after write() returned false. */
  drain: [];
  /** Node's own: after end(), the last frame has been played. */
  finish: [];
  /** Node's own. */
  pipe: [source: Readable];
  /** Node's own. */
  unpipe: [source: Readable];
  /** Nothing was left to play. Playing goes on with the next write. */
  underrun: [
    {
      /** Frames that had been played. */
      frames: number;
      /** How often that has happened so far; with `estimated`, how often at the host. */
      count: number;
      /** It was the host that had nothing between two positions, as their times show some seconds later. */
      estimated?: true;
      /** With `estimated`: for about so many ms. */
      gap?: number;
    },
  ];
}

/** What a capture stream tells. */
export interface CaptureStreamEvents extends StreamEvents {
  /** Node's own: whole frames. */
  data: [chunk: Buffer];
  /** Node's own: after finish(), all has been read. */
  end: [];
  /** Node's own. */
  pause: [];
  /** Node's own. */
  readable: [];
  /** Node's own. */
  resume: [];
  /** Frames were captured for which there was no room. Capture goes on. */
  overrun: [
    {
      /** How many frames, as far as the position tells; with `estimated`, about as many. */
      lost: number;
      /** The frame at which capture goes on. */
      frames: number;
      /** How often that has happened so far; with `estimated`, how often at the host. */
      count: number;
      /** It was the host that lost them between two positions, as their times show some seconds later. */
      estimated?: true;
    },
  ];
}

/** A listener that throws is the user's affair: never a failure of the channel in whose handler we are. */
export function emitLater(stream: EventEmitter, event: string, ...args: unknown[]): void {
  process.nextTick(() => stream.emit(event, ...args));
}
