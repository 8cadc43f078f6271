/** The numbers of commands that a server sends (PA_COMMAND_*). */
export const ServerCommand = {
  error: 0,
  reply: 2,
  request: 61,
  overflow: 62,
  underflow: 63,
  playbackStreamKilled: 64,
  recordStreamKilled: 65,
  subscribeEvent: 66,
  started: 86,
  playbackBufferAttributesChanged: 94,
} as const;

/** The tag of what a server sends without having been asked. */
export const NO_TAG = 0xffff_ffff;

/** No index: PA_INVALID_INDEX. */
export const NO_INDEX = 0xffff_ffff;

/** "Choose yourself", in buffer attributes. */
export const DEFAULT_SIZE = 0xffff_ffff;

/** Error codes: PA_ERR_*. */
export const PulseErrorCode = {
  access: 1,
  invalid: 3,
  noEntity: 5,
  badState: 15,
  version: 17,
  tooLarge: 18,
  notSupported: 19,
  noExtension: 21,
  notImplemented: 23,
} as const;

/** What a command is answered with that cannot be carried out. */
export class PulseError extends Error {
  readonly code: number;

  constructor(code: keyof typeof PulseErrorCode) {
    super(code);
    this.code = PulseErrorCode[code];
  }
}

/** What a subscription is about (PA_SUBSCRIPTION_EVENT_*); a mask has the bit of each. */
export const Facility = { sink: 0, source: 1, sinkInput: 2, sourceOutput: 3, client: 5, server: 7 } as const;

/** What has become of it. */
export const Change = { new: 0, change: 0x10, remove: 0x20 } as const;
