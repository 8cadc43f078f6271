import { liveStatus, plainStatus, type StreamProgress } from './status-line.ts';
import type { Terminal } from './terminal.ts';

/** ms between two repaintings of the live line, and between two plain lines. */
const PAINT_INTERVAL = 66;
const PLAIN_INTERVAL = 1000;

/** Shows how far a stream is, on a live line or on one line a second, until the function that it returns is called. */
export function showProgress(terminal: Terminal, progress: () => StreamProgress): () => void {
  const show = terminal.live
    ? () => terminal.paint(liveStatus(progress(), terminal.width, terminal.style))
    : () => terminal.say(plainStatus(progress()));
  const timer = setInterval(show, terminal.live ? PAINT_INTERVAL : PLAIN_INTERVAL);
  return () => {
    clearInterval(timer);
    terminal.release();
  };
}
