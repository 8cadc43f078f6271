import { isVsndError } from '../errors.ts';

/** Whether the connection is lost and another one may come: what `reconnect` outlives. */
export function isLoss(error: unknown): boolean {
  return isVsndError(error, 'ERR_VSND_BACKEND_GONE') || isVsndError(error, 'ERR_VSND_XENSTORE');
}
