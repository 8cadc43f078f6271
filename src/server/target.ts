import type { Card } from '../frontend/card.ts';
import type { PcmSpec } from '../pcm/hw-params.ts';
import type { StreamFormat } from '../pulse/format-info.ts';
import type { TargetDescription } from '../pulse/messages.ts';
import { propertiesOf } from '../pulse/tagged.ts';

/** ns without anything to play after which a card's stream is closed. */
export const IDLE_TIME = 2e9;

/** ns after which a card that has failed is tried again. */
export const RETRY_TIME = 1e9;

/** A sink or a source that a PCM device is to be. */
export interface TargetPlan {
  readonly direction: 'sink' | 'source';
  readonly index: number;
  /** What programs choose it by. */
  readonly name: string;
  /** What people read. */
  readonly description: string;
  /** The PCM device's index. */
  readonly device: number;
  readonly spec: PcmSpec;
  /** The same as clients have it. */
  readonly format: StreamFormat;
  /** s: what waits at the card at the most. */
  readonly latency: number;
}

/** What a sink or a source tells. */
export interface TargetEvents {
  readonly card: Pick<Card, 'createPlaybackStream' | 'createCaptureStream'>;
  handleStart(): void;
  handleStop(): void;
  handleXrun(count: number): void;
  handleBackendLost(error: Error): void;
  handleBackendBack(gap: number): void;
  handleWarning(code: string, message: string): void;
  /** Clients that have subscribed are to know. */
  handleChange(): void;
}

/** What does not change of a sink or source. */
export function describeTarget(
  plan: TargetPlan,
): Pick<TargetDescription, 'direction' | 'index' | 'name' | 'description' | 'spec' | 'map' | 'properties'> {
  const { direction, index, name, description, format } = plan;
  const properties = propertiesOf({
    'device.description': description,
    'device.class': 'sound',
    'device.api': 'xen',
    'device.string': String(plan.device),
  });
  return { direction, index, name, description, ...format, properties };
}
