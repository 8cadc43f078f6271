import { closeSync, fstatSync } from 'node:fs';
import { isatty } from 'node:tty';

/**
 * Closes those of the standard streams whose terminal has been closed: at its end Node sets terminals back as they were, and
 * Node 20 aborts, with a core dump, where one is gone. One that is not open any more it leaves alone.
 */
export function closeLostTerminals(): void {
  for (const fd of [0, 1, 2]) {
    try {
      if (!isatty(fd) && fstatSync(fd).isCharacterDevice()) closeSync(fd);
    } catch {
      // it is not open
    }
  }
}
