// Makes the pipe that is this process's own standard output smaller and larger.
import { createRequire } from 'node:module';

const { setPipeSize } = createRequire(import.meta.url)(process.argv[2]);

const sizes = [setPipeSize(1, 1), setPipeSize(1, 16_000)];
try {
  setPipeSize(2 ** 30, 4096);
} catch ({ code }) {
  console.log(...sizes, code);
}
