import type { Bridge } from './bridge/bridge.ts';
import type { BridgeOptions } from './bridge/plan.ts';
import type { Card } from './frontend/card.ts';

/**
 * Makes the card a sink and a source of the guest's sound server. The card stays the caller's; the bridge uses its streams
 * while a program plays or records. Rejects with ERR_VSND_INVALID_ARG, ERR_VSND_NO_STREAM, ERR_VSND_NOT_SUPPORTED,
 * ERR_VSND_SOUND_SERVER (with `pid` where another bridge has the name), ERR_VSND_NO_XEN without the addon, or an AbortError;
 * nothing is left then.
 */
export async function createBridge(card: Card, options: BridgeOptions = {}): Promise<Bridge> {
  const bridge = await import('./bridge/bridge.ts'); // most programs make none
  return await bridge.createBridge(card, options);
}
