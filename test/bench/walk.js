// The way of a paced period through both sides, function by function.
import { countIn } from './period.js';

export async function run() {
  const functions = await countIn('walk');
  const calls = functions.reduce((sum, one) => sum + one.calls, 0);
  const files = new Set(functions.map(({ place }) => place.split(':')[0])).size;
  console.log('calls a period of 1024 frames, both sides, by the coverage that V8 counts; in dist/');
  for (const one of functions)
    console.log(`${one.calls.toFixed(2).padStart(7)}  ${one.place.padEnd(40)} ${one.name}`);
  console.log(`${calls.toFixed(0).padStart(7)}  of ${functions.length} functions in ${files} files`);
}
