// How many pages a guest may grant.

/** A card with three streams, one playing from 64 KiB: rings, event pages, the buffer and its directory. */
export const CARD_PAGES = 3 * 2 + 16 + 1;

const PARAMETER = '/sys/module/xen_gntalloc/parameters/limit';

/** Carries `act` out with gntalloc's limit at `pages`. */
export async function withGrantLimit(guest, pages, act) {
  const before = await guest.run(`cat ${PARAMETER}`);
  await guest.run(`echo ${pages} > ${PARAMETER}`);
  try {
    await act();
  } finally {
    if (guest.alive) await guest.run(`echo ${before} > ${PARAMETER}`);
  }
}
