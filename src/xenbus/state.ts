/** enum xenbus_state, xenbus.h */
export const XenbusState = {
  Unknown: 0, // XenbusStateUnknown
  Initialising: 1, // XenbusStateInitialising
  InitWait: 2, // XenbusStateInitWait
  Initialised: 3, // XenbusStateInitialised
  Connected: 4, // XenbusStateConnected
  Closing: 5, // XenbusStateClosing
  Closed: 6, // XenbusStateClosed
  Reconfiguring: 7, // XenbusStateReconfiguring
  Reconfigured: 8, // XenbusStateReconfigured
} as const;

/** The states of XenbusState (xen/io/xenbus.h). */
export type XenbusStateName = keyof typeof XenbusState;

const NAMES = Object.keys(XenbusState) as XenbusStateName[];

/** What the other end's state node says: a state, or that there is none to be read. */
export type OtherendState = XenbusStateName | 'Gone';

/** The same for each thing that the other end's state node can say. */
export function forEveryState<T>(value: T): Record<OtherendState, T> {
  const entries = [...NAMES, 'Gone' as const].map((state) => [state, value] as const);
  return Object.fromEntries(entries) as Record<OtherendState, T>;
}

/** Reads a state node: absent is 'Gone', anything that is not one of the nine numbers is 'Unknown'. */
export function parseXenbusState(value: string | undefined): OtherendState {
  if (value === undefined) return 'Gone';
  return (/^\d$/.test(value) ? NAMES[Number(value)] : undefined) ?? 'Unknown';
}

/** The number to write. */
export function formatXenbusState(state: XenbusStateName): string {
  return String(XenbusState[state]);
}

/** A state as people read it: 'InitWait (2)'. */
export function describeXenbusState(state: OtherendState): string {
  return state === 'Gone' ? 'gone' : `${state} (${XenbusState[state]})`;
}

/** What a state node says, as people read it: as {@link describeXenbusState}, or the value itself where it is no state. */
export function describeStateNode(value: string | undefined): string {
  const state = parseXenbusState(value);
  if (state !== 'Unknown' || value === undefined) return describeXenbusState(state);
  return value === '0'
    ? describeXenbusState(state)
    : `${JSON.stringify(value.slice(0, 80))}, which is no state`;
}
