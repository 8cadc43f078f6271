import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const COUNT_CPU = fileURLToPath(new URL('programs/count-cpu.js', import.meta.url));

/** Runs Node with these arguments, and returns the CPU ms that its process has taken, all threads. */
export async function cpuOf(args, env = {}) {
  const child = spawn(process.execPath, ['--import', COUNT_CPU, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  const [stderr, cpu, [status]] = await Promise.all([
    text(child.stderr),
    text(child.stdio[3]),
    once(child, 'close'),
  ]);
  if (status !== 0) throw new Error(`node ${args.join(' ')} has failed: ${stderr}`);
  return Number(cpu);
}
