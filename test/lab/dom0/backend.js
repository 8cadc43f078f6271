// `vsnd backend` in a process of its own, as an administrator of Dom0 runs it.
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';

/** Node alone has taken 40 s to start on a machine that was busy with other things. */
const READY_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 10_000;

export class BackendProcess {
  #child;
  #lines = [];
  #waiting = new Set();
  #exit;

  constructor(args) {
    this.#child = spawn(process.execPath, ['/vsnd/dist/cli/main.js', 'backend', '--json', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#exit = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => resolve(signal ?? code));
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8');
      let rest = '';
      stream.on('data', (text) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) this.#hear(line);
      });
    }
  }

  /** Every line it has said. */
  get lines() {
    return this.#lines;
  }

  async ready() {
    await this.said(/serving the guests/, READY_LIMIT_MS);
  }

  /** Resolves with the first line, from now or from before, that matches. */
  said(pattern, limitMs = STOP_LIMIT_MS) {
    const found = this.#lines.find((line) => pattern.test(line));
    if (found) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`the backend ${why}; it said:\n${this.#lines.join('\n')}`));
      const timer = setTimeout(() => fail(`did not say ${pattern} within ${limitMs} ms`), limitMs);
      this.#exit.then((status) => fail(`ended with ${status} before it said ${pattern}`));
      this.#waiting.add({
        pattern,
        resolve: (line) => {
          clearTimeout(timer);
          resolve(line);
        },
      });
    });
  }

  kill() {
    this.#child.kill('SIGKILL');
    return this.#exit;
  }

  /** Lets it be there without a word. */
  pause() {
    this.#child.kill('SIGSTOP');
  }

  /** Ends it as a service manager does; rejects where it does not end well. */
  async stop() {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_LIMIT_MS);
    const status = await this.#exit;
    clearTimeout(timer);
    // 143: ended by SIGTERM, as shells count
    if (status !== 0 && status !== 143) throw new Error(`the backend ended with ${status} after SIGTERM`);
  }

  writeLog(folder) {
    appendFileSync(`${folder}/backend.log`, `${this.#lines.join('\n')}\n`);
  }

  #hear(line) {
    this.#lines.push(line);
    for (const waiter of this.#waiting) {
      if (!waiter.pattern.test(line)) continue;
      this.#waiting.delete(waiter);
      waiter.resolve(line);
    }
  }
}
