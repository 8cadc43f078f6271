/** A part of the buffer that does not wrap, in bytes. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/** Where `length` bytes from the absolute `position` lie in a buffer of `size` bytes: one span, or two at the wrap. */
export function spans(position: number, length: number, size: number): Span[] {
  const offset = position % size;
  const first = Math.min(length, size - offset);
  const all = [
    { offset, length: first },
    { offset: 0, length: length - first },
  ];
  return all.filter((span) => span.length > 0);
}
