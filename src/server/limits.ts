/** What clients may have, all of them together and each. A client that wants more is refused that, and nobody else hears of it. */

/** Connections at once. */
export const MOST_CLIENTS = 64;

/** ns in which a client must have said who it is. */
export const AUTHENTICATION_TIME = 60e9;

/** Streams of one client, and of all. */
export const MOST_STREAMS = { each: 32, all: 128 } as const;

/** Bytes that wait to be played, of all streams beyond what each may have. */
export const MOST_WAITING = 64 << 20;

/** Bytes that a client has not read: behind the first requests wait, behind the second what it records is lost, at the third it is dropped. */
export const BACKLOG = { requests: 64 << 10, data: 2 << 20, most: 4 << 20 } as const;

/** What of one client is taken in, in one turn of the event loop, in parts of packets and in bytes; then it is others' turn. */
export const TURN = { parts: 8, bytes: 256 << 10 } as const;
