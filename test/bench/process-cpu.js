import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export const pathOf = (relative) => fileURLToPath(new URL(relative, import.meta.url));

/** Runs Node, or another command, with these arguments, and returns what its program has written to descriptor 3, as JSON. */
export async function reportOf(args, env = {}, command = process.execPath) {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  const [stderr, report, [status]] = await Promise.all([
    text(child.stderr),
    text(child.stdio[3]),
    once(child, 'close'),
  ]);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} has failed: ${stderr}`);
  return JSON.parse(report);
}

/** Runs Node with these arguments, and returns the CPU ms that its process has taken, all threads. */
export function cpuOf(args, env) {
  return reportOf(['--import', pathOf('programs/count-cpu.js'), ...args], env);
}
