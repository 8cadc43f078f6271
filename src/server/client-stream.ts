import { type PropertyList, textOf } from '../pulse/tagged.ts';

/** What a stream tells the client whose it is. */
export interface StreamOwner {
  /** The client's index. */
  readonly client: number;
  /** Bytes that it has been sent and not read. */
  readonly backlog: number;
  /** Sends a packet. */
  send(packet: Buffer): void;
}

/** A stream's name, as its properties have it. */
export function streamName(properties: PropertyList): string {
  return textOf(properties, 'media.name') ?? 'a stream';
}
