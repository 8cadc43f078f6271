export type { PcmDeviceConfig, StreamConfig } from './config/card.ts';
export { isVsndError, VsndError, type VsndErrorCode } from './errors.ts';
export { Card, type CardOptions } from './frontend/card.ts';
export type { CardInfo } from './frontend/discovery.ts';
export {
  PlaybackStream,
  type PlaybackStreamEvents,
  type PlaybackStreamOptions,
  type StreamWarning,
} from './frontend/playback-stream.ts';
export { listCards, type OpenCardOptions, openCard } from './open-card.ts';
export type { PlaybackState } from './pcm/substream.ts';
export type { PcmFormatName } from './wire/pcm-format.ts';
export type { Hypervisor } from './xen/hypervisor.ts';
