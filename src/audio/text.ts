/** UTF-8, or where it is none, what was usual before. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

/** Text that zeros fill up. */
export function textBeforeZero(bytes: Uint8Array): string {
  return decodeText(bytes).split('\0')[0]?.trim() ?? '';
}
