import { RealClock } from '../clock.ts';
import type { Card } from './card.ts';

/** Signals whose default action ends a process without a word. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** ns that leaving may take after a signal. */
const GRACE = 5e9;

/** Marks our listeners among those of a process. */
const LEAVES = Symbol('leaves the sound card');

type LeavingListener = ((signal: NodeJS.Signals) => void) & { [LEAVES]?: true };

/**
 * Lets the card leave its backend however the process ends: by process.exit(), an uncaught exception, or a signal that
 * would end it silently. A signal for which the program has a listener of its own is that listener's affair. Returns
 * what ends this.
 */
export function leaveAtProcessEnd(card: Pick<Card, 'close' | 'leaveNow'>): () => void {
  const leaveNow = () => card.leaveNow();
  const leave: LeavingListener = (signal) => {
    const isOurs = (listener: unknown) => (listener as LeavingListener)[LEAVES] === true;
    if (!process.listeners(signal).every(isOurs)) return;
    const end = () => {
      timer.cancel();
      stop();
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal); // the last card has left
    };
    const timer = new RealClock().after(GRACE, end);
    card.close().then(end, end);
  };
  leave[LEAVES] = true;
  const stop = () => {
    process.off('exit', leaveNow);
    for (const signal of SIGNALS) process.off(signal, leave);
  };
  process.on('exit', leaveNow);
  for (const signal of SIGNALS) process.on(signal, leave);
  return stop;
}
