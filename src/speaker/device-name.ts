/** A place for sound: numbers of a card and of its PCM device; what is undefined is for vsnd to choose. */
export interface DevicePlace {
  readonly card?: number | undefined;
  readonly device?: number | undefined;
}

/**
 * What an ALSA name means here: 'hw:1' is the card with devid 1, 'hw:1,0' its first PCM device; 'plughw:' is the same, as
 * ALSA's numbers may be called CARD= and DEV=. Undefined for any other name.
 */
export function parseDeviceName(name: string): DevicePlace | undefined {
  const match = /^(?:plug)?hw:(?:CARD=)?(\d+)(?:,(?:DEV=)?(\d+))?$/.exec(name);
  if (match === null) return name === 'default' ? {} : undefined;
  const [, card, device] = match;
  return { card: Number(card), device: device === undefined ? undefined : Number(device) };
}
