// Writes noise into a file for programs that play files: make-noise.js SEED BYTES FILE
import { writeFileSync } from 'node:fs';
import { noise } from '../noise.js';

const [seed, bytes, file] = process.argv.slice(2);
writeFileSync(file, noise(Number(seed), Number(bytes)));
