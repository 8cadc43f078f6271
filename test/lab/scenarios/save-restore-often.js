// As save-restore, 10 times.
import { outlive } from './save-restore.js';

export async function run(lab) {
  return await outlive(lab, 10);
}
