import type { Facility } from '../pulse/command.ts';
import type { PropertyList } from '../pulse/tagged.ts';
import type { StreamOwner } from './client-stream.ts';
import type { SinkInput } from './sink-input.ts';
import type { SourceOutput } from './source-output.ts';

export type FacilityName = keyof typeof Facility;

/** A client, as those know it who carry out what it asks for. */
export interface Client extends StreamOwner {
  /** Whether its user may use this server. */
  readonly isWelcome: boolean;
  /** Of the protocol; 0 before it has said who it is. */
  version: number;
  properties: PropertyList;
  /** What it wants to be told of: a bit each. */
  subscription: number;
  /** As people read it. */
  readonly name: string;
  /** Its process, as it says. */
  readonly pid: number | undefined;
  readonly isClosed: boolean;
  /** By their channels. */
  readonly inputs: Map<number, SinkInput>;
  readonly outputs: Map<number, SourceOutput>;
  readonly streamCount: number;
  /** A channel that no stream of it has. */
  takeChannel(): number;
  hearsOf(facility: FacilityName): boolean;
  /** Tells of a change; where the client does not read, each is told once when it does. */
  notify(key: string, packet: Buffer): void;
  /** Ends its streams and its connection. Idempotent. */
  close(): void;
}
