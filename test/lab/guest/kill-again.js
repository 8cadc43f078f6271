// Starts play.js, kills it when it plays, and again: kill-again.js TIMES WHAT
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PLAY = fileURLToPath(new URL('play.js', import.meta.url));
const [times, what] = process.argv.slice(2);

/** Resolves when it has been killed while playing; throws where it did not come so far. */
async function playAndKill() {
  const player = spawn(process.execPath, [PLAY, what], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(player, 'exit');
  for await (const line of createInterface({ input: player.stdout })) {
    const { event, message } = JSON.parse(line);
    if (event === 'error') throw new Error(message);
    if (event === 'playing') player.kill('SIGKILL');
  }
  await ended;
  if (player.signalCode !== 'SIGKILL') throw new Error(`it ended by itself with ${player.exitCode}`);
}

for (let time = 1; time <= Number(times); time++) {
  try {
    await playAndKill();
    console.log(`killed ${time}`);
  } catch (error) {
    console.log(`failed at ${time}: ${error.message}`);
    process.exit(1);
  }
}
