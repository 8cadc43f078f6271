/** The stable codes of {@link VsndError}. */
export type VsndErrorCode =
  /** Caller misuse: an option or argument is not one of those allowed. */
  | 'ERR_VSND_INVALID_ARG'
  /** Caller misuse: the object is in a state in which the call makes no sense (closed, released, not open). */
  | 'ERR_VSND_INVALID_STATE'
  /** Another openCard(), here or in another process, owns the card. */
  | 'ERR_VSND_CARD_BUSY'
  /** This guest has no such card. */
  | 'ERR_VSND_NO_CARD'
  /** The card has no free stream of the kind asked for. */
  | 'ERR_VSND_NO_STREAM'
  /** This machine is not a Xen guest, or the Xen devices cannot be used. */
  | 'ERR_VSND_NO_XEN'
  /** The card's XenStore configuration is incomplete or contradicts itself. */
  | 'ERR_VSND_CONFIG'
  /** XenStore answered with an error; `errno` and `path` say which. */
  | 'ERR_VSND_XENSTORE'
  /** The hypervisor refused a grant, a mapping or an event channel. */
  | 'ERR_VSND_HYPERVISOR'
  /** The peer broke the protocol; the connection to it is over. */
  | 'ERR_VSND_PROTOCOL'
  /** The backend answered a request with an error status. */
  | 'ERR_VSND_STATUS'
  /** The backend closed, vanished, died or fell silent. */
  | 'ERR_VSND_BACKEND_GONE'
  /** The backend cannot do what was asked. */
  | 'ERR_VSND_NOT_SUPPORTED'
  /** The sound device behind the backend cannot be opened or has failed. */
  | 'ERR_VSND_DEVICE'
  /** A sound file cannot be read, or is not what it claims to be. */
  | 'ERR_VSND_FILE'
  /** The guest's sound server (PulseAudio, PipeWire) cannot be reached, or refused what a bridge asked for. */
  | 'ERR_VSND_SOUND_SERVER';

/** What an error can say beyond its message. */
export interface VsndErrorDetails {
  /** The errno's name, as in 'ENOENT'. */
  errno?: string;
  /** The response status on the wire: 0 or a negative Xen errno. */
  status?: number;
  /** The XenStore path concerned. */
  path?: string;
  /** The process that owns the card. */
  pid?: number;
  /** The option or argument that was misused. */
  option?: string;
  /** The error that led to this one. */
  cause?: unknown;
}

/** Every error that vsnd makes itself; cancellation is Node's own AbortError instead. */
export class VsndError extends Error {
  /** What is wrong, for programs: stable, unlike the message. */
  readonly code: VsndErrorCode;
  /** The errno's name, as in 'ENOENT', where the system or XenStore gave one. */
  declare readonly errno?: string;
  /** The response status on the wire, of ERR_VSND_STATUS: the negative of a Xen errno. */
  declare readonly status?: number;
  /** The XenStore path concerned. */
  declare readonly path?: string;
  /** The process that owns the card, of ERR_VSND_CARD_BUSY, or the name, of ERR_VSND_SOUND_SERVER. */
  declare readonly pid?: number;
  /** The option or argument that was misused, of ERR_VSND_INVALID_ARG. */
  declare readonly option?: string;

  /** Made by vsnd; programs catch it. */
  constructor(code: VsndErrorCode, message: string, details: VsndErrorDetails = {}) {
    const { cause, ...fields } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'VsndError';
    this.code = code;
    Object.assign(this, fields);
  }
}

/** Caller misuse: names the option, the value given and what is allowed. */
export function invalidArgError(name: string, value: unknown, allowed: string): VsndError {
  const message = `${name} is ${describe(value)}; allowed: ${allowed}`;
  return new VsndError('ERR_VSND_INVALID_ARG', message, { option: name });
}

/** The peer wrote something that the protocol does not allow. */
export function protocolError(message: string): VsndError {
  return new VsndError('ERR_VSND_PROTOCOL', message);
}

/** Cancellation, as Node's own APIs report it. */
export function abortError(signal?: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal?.reason });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}

/** True for a VsndError, with this code if one is given. */
export function isVsndError(error: unknown, code?: VsndErrorCode): error is VsndError {
  return error instanceof VsndError && (code === undefined || error.code === code);
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}
