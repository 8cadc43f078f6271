// As frontend-killed, 20 times.
import { killAgain } from './frontend-killed.js';

export async function run(lab) {
  await killAgain(lab, 20);
}
