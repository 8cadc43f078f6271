import type { MessagePort } from 'node:worker_threads';
import type { SinkName, SourceName } from '../backend/device-names.ts';
import type { PcmDevice } from '../backend/pcm-device.ts';
import type { QueueMode } from '../backend/playback-queue.ts';
import type { VsndErrorCode } from '../errors.ts';

/** What the backend's thread is started with. */
export interface BackendWorkerData {
  /** The thread's end of domain 0. */
  readonly port: MessagePort;
  /** Undefined: the first that plays here. */
  readonly sink: string | undefined;
  /** Undefined: the first that captures here. */
  readonly source: string | undefined;
  readonly fast: boolean;
  /** Parts per million */
  readonly deviation: number;
  readonly queueMode: QueueMode;
}

/** What the backend's sound goes to. */
export interface SinkInfo {
  readonly kind: SinkName['kind'];
  /** As a person reads it. */
  readonly description: string;
  /** Whether it plays at its own pace: `fast` is nothing to it. */
  readonly hasOwnClock: boolean;
  readonly file?: string;
}

/** A sink or a source, as the user of an emulated guest knows it. */
export type Chosen<Info> = Info & {
  /** Nobody has named it. */
  readonly isChosen: boolean;
};

/** What the backend captures. */
export interface SourceInfo {
  readonly kind: SourceName['kind'];
  /** As a person reads it. */
  readonly description: string;
}

/** What one of the backend's devices can be set to; anything where it does not say. */
export type DeviceLimits = Pick<PcmDevice, 'formats' | 'rates' | 'channels'>;

/** What the backend's thread says. */
export type FromBackendWorker =
  | {
      readonly type: 'ready';
      readonly sink: SinkInfo;
      readonly source: SourceInfo;
      readonly playback: DeviceLimits;
      readonly capture: DeviceLimits;
    }
  | {
      readonly type: 'failed';
      readonly code: VsndErrorCode;
      readonly message: string;
      readonly errno?: string;
    }
  | { readonly type: 'log'; readonly message: string };

/** What it is told. It answers by ending. */
export type ToBackendWorker = 'close';
