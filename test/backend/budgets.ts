import { Guest } from '../../src/backend/guest.ts';
import { limitsOf, parseLimit } from '../../src/backend/limits.ts';
import { ManualClock } from '../../src/clock.ts';

/** A guest that may have what `limits` say, as on the command line, and what it has put into the log. */
export function createGuest({ domid = 1, limits = [] as string[], clock = new ManualClock() } = {}) {
  const log: string[] = [];
  const guest = new Guest(domid, {
    limits: limitsOf(
      limits.map((limit) => parseLimit(limit)),
      domid,
    ),
    clock,
    log: ({ message }) => log.push(message),
  });
  return { guest, log, clock };
}
