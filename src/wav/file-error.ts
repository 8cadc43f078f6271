import { getSystemErrorMap } from 'node:util';
import { VsndError } from '../errors.ts';

/** A failed file call as ERR_VSND_FILE: what was tried, why it failed, and the errno. */
export function fileError(tried: string, error: unknown): VsndError {
  const { code, errno } = error as NodeJS.ErrnoException;
  if (code === undefined || errno === undefined) {
    const reason = error instanceof Error ? error.message : String(error);
    return new VsndError('ERR_VSND_FILE', `${tried}: ${reason}`, { cause: error });
  }
  const reason = getSystemErrorMap().get(errno)?.[1] ?? 'failed';
  return new VsndError('ERR_VSND_FILE', `${tried}: ${reason} (${code})`, { errno: code, cause: error });
}
