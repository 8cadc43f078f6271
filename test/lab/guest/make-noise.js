// Writes noise into a file for programs that play files: make-noise.js SEED OCTETS FILE
import { writeFileSync } from 'node:fs';
import { noise } from '../noise.js';

const [seed, octets, file] = process.argv.slice(2);
writeFileSync(file, noise(Number(seed), Number(octets)));
