/** Options that several commands have. */

export const CARD = { argument: 'N', help: 'the card with this number; without it, the first one' } as const;

/** Those by which a command says whose card it means: one that another process has open. */
export const OWNER_OPTIONS = {
  card: { argument: 'N', help: 'the card with this number; without it, the first one in use' },
  emulate: { help: 'the card of a process that runs with --emulate' },
  socket: { argument: 'FILE', help: 'the card behind this control socket' },
} as const;
