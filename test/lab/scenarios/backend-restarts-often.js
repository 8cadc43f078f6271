// As backend-restarts, five times for each time that a backend is away.
import { AWAY_MS, outlive } from './backend-restarts.js';

const DEATHS = 5;

export async function run(lab) {
  const notes = [];
  for (const [round, away] of AWAY_MS.entries())
    notes.push(await outlive(lab, { aways: Array(DEATHS).fill(away), seed: 91 + round }));
  return notes.join('; ');
}
