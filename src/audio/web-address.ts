/** Whether a recording is to be had from a server. */
export function isWebAddress(address: string): boolean {
  return /^https?:\/\//i.test(address);
}
