import type { MessagePort } from 'node:worker_threads';
import type { QueueMode } from '../backend/playback-queue.ts';
import type { VsndErrorCode } from '../errors.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';

/** What the backend's thread is started with. */
export interface BackendWorkerData {
  /** The thread's end of domain 0. */
  readonly port: MessagePort;
  readonly sink: string | undefined;
  readonly fast: boolean;
  readonly queueMode: QueueMode;
}

/** What the backend's sound goes to. */
export interface SinkInfo {
  readonly kind: 'null' | 'speaker' | 'wav';
  /** As a person reads it. */
  readonly description: string;
  readonly file?: string;
}

/** What the backend's thread says. */
export type FromBackendWorker =
  | { readonly type: 'ready'; readonly sink: SinkInfo; readonly formats: readonly PcmFormatName[] }
  | {
      readonly type: 'failed';
      readonly code: VsndErrorCode;
      readonly message: string;
      readonly errno?: string;
    }
  | { readonly type: 'log'; readonly message: string };

/** What it is told. It answers by ending. */
export type ToBackendWorker = 'close';
