import { isVsndError, type VsndErrorCode } from '../errors.ts';
import { XenErrno, type XenErrnoName } from '../wire/xen-errno.ts';

/** The backend's answer to a request that it will not carry out. */
export class Refusal extends Error {
  readonly errno: XenErrnoName;

  constructor(errno: XenErrnoName, message: string) {
    super(message);
    this.errno = errno;
  }
}

/** What the frontend asked for cannot be. */
const INVALID: readonly VsndErrorCode[] = [
  'ERR_VSND_INVALID_ARG',
  'ERR_VSND_NOT_SUPPORTED',
  'ERR_VSND_PROTOCOL',
];

/** The response status for whatever went wrong: the error's own errno where it is one of Xen's, else EIO. */
export function statusOf(error: unknown): number {
  if (isVsndError(error) && INVALID.includes(error.code)) return -XenErrno.EINVAL;
  const { errno } = error as { errno?: unknown };
  return -(XenErrno[errno as XenErrnoName] ?? XenErrno.EIO);
}
