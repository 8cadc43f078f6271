import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'vitest';

/** What a bridge has taken so far. */
interface Cost {
  /** ms, all threads: those of the emulated machine and V8's own too. */
  readonly cpu: number;
  /** How often its event loop has gone to sleep: a busy machine makes that last longer, but no oftener. */
  readonly sleeps: number;
}

const SECONDS = 4;

/** About one a second is what is there; whoever looks every 20 ms comes to 200. */
const MOST_SLEEPS = 20;

function costOf(pid: number): Cost {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const status = readFileSync(`/proc/${pid}/status`, 'latin1'); // of the main thread
  return {
    cpu: (Number(fields[11]) + Number(fields[12])) * 10, // utime, stime, in hundredths of a second
    sleeps: Number(/^voluntary_ctxt_switches:\t(\d+)/m.exec(status)?.[1]),
  };
}

/** The cost of the next seconds, which is printed too. */
export async function costOfWaiting(pid: number, what: string): Promise<Cost> {
  const before = costOf(pid);
  await wait(SECONDS * 1000);
  const after = costOf(pid);
  const cost = { cpu: after.cpu - before.cpu, sleeps: after.sleeps - before.sleeps };
  console.log(`${what}: ${cost.cpu} ms of CPU and ${cost.sleeps} sleeps in ${SECONDS} s`);
  return cost;
}

/** It falls asleep when the server does: PipeWire writes zeros until the session manager suspends the sink, seconds later. */
export async function expectAsleep(pid: number): Promise<void> {
  let cost = await costOfWaiting(pid, 'a bridge that falls asleep');
  for (let more = 4; more > 0 && cost.sleeps > MOST_SLEEPS; more--) {
    cost = await costOfWaiting(pid, 'a bridge that falls asleep');
  }
  expect(cost.sleeps).toBeLessThanOrEqual(MOST_SLEEPS);
}
