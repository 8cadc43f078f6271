import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Takes step after step until `promise` has settled; fails after `most` of them, with what `explain` says then. */
export async function stepUntilSettled<T>(
  promise: Promise<T>,
  step: () => Promise<void>,
  most = Number.POSITIVE_INFINITY,
  explain = () => '',
): Promise<T> {
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  await null; // a promise that has settled already takes no step
  for (let steps = 0; !isSettled && steps < most; steps++) await step();
  if (!isSettled) throw new Error(`still waiting after ${most} steps${explain()}`);
  return await promise;
}

/** Resolves when another program has written something into this file. */
export async function written(path: string): Promise<void> {
  const watcher = watch(dirname(path));
  try {
    while (!existsSync(path) || statSync(path).size === 0) await once(watcher, 'change');
  } finally {
    watcher.close();
  }
}

/** A FIFO that a program opens for its children as well (`exec 3> PATH`); `ended` resolves when the last of them has ended. */
export function lifeline(path: string): { ended: Promise<unknown> } {
  execFileSync('mkfifo', [path]);
  return { ended: readFile(path) };
}
