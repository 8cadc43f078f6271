/** What happens at the domain border, on named channels of node:diagnostics_channel; costs nothing without a subscriber. */

import { channel } from 'node:diagnostics_channel';
import type { ConfigWarning } from '../config/warnings.ts';
import type { CurPosEvent, SndifRequest } from '../wire/sndif.ts';

const configWarnings = channel('vsnd:config');
const positions = channel('vsnd:position');
const requests = channel('vsnd:request');
const responses = channel('vsnd:response');
const states = channel('vsnd:state');

/** A message of `vsnd:position`: a XENSND_EVT_CUR_POS as the backend sent it. */
export interface PositionMessage {
  /** The stream's node in XenStore. */
  readonly path: string;
  /** The backend's count of events, u16. */
  readonly id: number;
  /** Bytes, as the backend counts them. */
  readonly position: bigint;
}

/** A message of `vsnd:request`: one that goes into the ring. */
export interface RequestMessage {
  /** The stream's node in XenStore. */
  readonly path: string;
  /** u16 */
  readonly id: number;
  /** What is asked of the backend. */
  readonly request: SndifRequest;
}

/** A message of `vsnd:response`. */
export interface ResponseMessage {
  /** The stream's node in XenStore. */
  readonly path: string;
  /** u16: that of the request. */
  readonly id: number;
  /** What it answers. */
  readonly request: SndifRequest;
  /** 0, or a negative Xen errno. */
  readonly status: number;
}

/** A message of `vsnd:state`: a step of the card's xenbus table, or of a stream's. */
export interface StateMessage {
  /** The card's node in XenStore, or the stream's. */
  readonly path: string;
  /** The state before. */
  readonly from: string;
  /** What happened. */
  readonly event: string;
  /** The state after. */
  readonly to: string;
}

/** To `vsnd:config`: a {@link ConfigWarning} of a card that is being opened. */
export function publishConfigWarning(warning: ConfigWarning): void {
  if (configWarnings.hasSubscribers) configWarnings.publish(warning);
}

/** Whether somebody wants to see every request, answer and event. */
export function isTrafficWatched(): boolean {
  return positions.hasSubscribers || requests.hasSubscribers || responses.hasSubscribers;
}

export function publishPosition(path: string, { id, position }: CurPosEvent): void {
  if (positions.hasSubscribers) positions.publish({ path, id, position } satisfies PositionMessage);
}

export function publishRequest(path: string, id: number, request: SndifRequest): void {
  if (requests.hasSubscribers) requests.publish({ path, id, request } satisfies RequestMessage);
}

export function publishResponse(path: string, id: number, request: SndifRequest, status: number): void {
  if (responses.hasSubscribers) responses.publish({ path, id, request, status } satisfies ResponseMessage);
}

export function publishState(path: string, from: string, event: string, to: string): void {
  if (states.hasSubscribers) states.publish({ path, from, event, to } satisfies StateMessage);
}
