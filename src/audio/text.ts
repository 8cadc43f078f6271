/** UTF-8, or where it is none, what was usual before. */
export function decodeText(octets: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets);
  } catch {
    return new TextDecoder('windows-1252').decode(octets);
  }
}

/** Text that zeros fill up. */
export function textBeforeZero(octets: Uint8Array): string {
  return decodeText(octets).split('\0')[0]?.trim() ?? '';
}
