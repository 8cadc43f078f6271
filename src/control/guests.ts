import { invalidArgError } from '../errors.ts';
import { BACKEND_METHODS, type BackendStatus } from './protocol.ts';
import { checkFields } from './schema.ts';

/** What answers at a backend's control socket: it has one method, `guests`. */
export function guestsMethod(
  status: () => BackendStatus,
): (method: unknown, params?: unknown) => Promise<BackendStatus> {
  return async (method, params = {}) => {
    if (method !== 'guests') throw invalidArgError('method', method, 'guests');
    checkFields('params', params, BACKEND_METHODS.guests.params);
    return status();
  };
}
