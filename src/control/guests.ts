import { invalidArgError } from '../errors.ts';
import { checkParams } from './methods.ts';
import type { BackendStatus } from './protocol.ts';

/** What answers at a backend's control socket: it has one method, `guests`. */
export function guestsMethod(
  status: () => BackendStatus,
): (method: unknown, params?: unknown) => Promise<BackendStatus> {
  return async (method, params = {}) => {
    if (method !== 'guests') throw invalidArgError('method', method, 'guests');
    checkParams(params, {});
    return status();
  };
}
