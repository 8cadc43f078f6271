// Loaded before anything else: knows which of the process's threads are V8's helpers, and what each thread has run.
const { readdirSync, readFileSync } = require('node:fs');

const threads = () => readdirSync('/proc/self/task').map(Number);

/** Those that there are at the start: pools and workers come later. */
const helpers = threads().filter((thread) => thread !== process.pid);

/** ns that a thread has run; 0 of one that has gone. */
function timeOf(thread) {
  try {
    return Number(readFileSync(`/proc/self/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
  } catch {
    return 0;
  }
}

const sum = (list) => list.reduce((total, thread) => total + timeOf(thread), 0) / 1e6;

/** CPU ms so far without the threads `except`: `whole`, and `own`, without V8's helpers too. */
exports.cpuTime = (except = []) => {
  const rest = threads().filter((thread) => !except.includes(thread));
  return { whole: sum(rest), own: sum(rest.filter((thread) => !helpers.includes(thread))) };
};
