/**
 * For programs in a guest: its sound cards as streams, and a card in a sound server.
 * @module vsnd
 */

export type {
  Bridge,
  BridgeEndpoint,
  BridgeEvents,
  BridgeState,
} from './bridge/bridge.ts';
export type { PathStatistics } from './bridge/path.ts';
export type { BridgeOptions } from './bridge/plan.ts';
export type { BridgeRoute, Direction, SoundServerKind } from './bridge/sound-server.ts';
export type { PcmDeviceConfig, StreamConfig } from './config/card.ts';
export type { ConfigWarning } from './config/warnings.ts';
export { createBridge } from './create-bridge.ts';
export { createSoundServer } from './create-sound-server.ts';
export { isVsndError, VsndError, type VsndErrorCode, type VsndErrorDetails } from './errors.ts';
export { CaptureStream, type CaptureStreamOptions } from './frontend/capture-stream.ts';
export { Card, type CardOptions, type EngineName } from './frontend/card.ts';
export type { CardChange } from './frontend/card-watch.ts';
export type {
  PositionMessage,
  RequestMessage,
  ResponseMessage,
  StateMessage,
} from './frontend/diagnostics.ts';
export type { CardInfo } from './frontend/discovery.ts';
export type { PcmStream } from './frontend/pcm-stream.ts';
export { PlaybackStream, type PlaybackStreamOptions } from './frontend/playback-stream.ts';
export type { HwParamsAnswer, HwParamsQuery } from './frontend/query-hw-params.ts';
export type { StreamTrigger } from './frontend/stream-core.ts';
export type {
  CaptureStreamEvents,
  PlaybackStreamEvents,
  StreamEvents,
  StreamWarning,
  StreamWarningCode,
} from './frontend/stream-events.ts';
export type { StreamOptions } from './frontend/stream-options.ts';
export {
  type ListCardsOptions,
  listCards,
  type OpenCardOptions,
  openCard,
  type WatchCardsOptions,
  watchCards,
} from './open-card.ts';
export type { ClockReading } from './pcm/position-clock.ts';
export type { StreamState } from './pcm/substream.ts';
export type { SoundServerOptions } from './server/plan.ts';
export type {
  SoundServer,
  SoundServerClient,
  SoundServerEvents,
  SoundServerStream,
  SoundServerTarget,
} from './server/sound-server.ts';
export type { PcmFormatName } from './wire/pcm-format.ts';
export type { Interval } from './wire/sndif.ts';
export type { Hypervisor } from './xen/hypervisor.ts';
export type { OtherendState, XenbusStateName } from './xenbus/state.ts';
