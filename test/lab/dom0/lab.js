// What a scenario has at hand: guests, backends, and what the backends recorded.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { BackendProcess } from './backend.js';
import { Guest } from './guest.js';

/** The guest's command that plays this. */
export function playCommand(what) {
  return `node /vsnd/test/lab/guest/play.js '${JSON.stringify(what)}'`;
}

/** What a program said in lines of JSON, of one kind. */
export function jsonLines(output, event) {
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line)).filter((said) => said.event === event);
}

/** What is kept of Dom0 when a scenario fails; by the file's name. */
const DIAGNOSES = {
  kernel: 'dmesg',
  processes: 'ps',
  domains: 'xl list',
  xenstore: 'xenstore-ls -f',
  'xenstored-trace': 'grep -v ^wrl: /tmp/xenstored.trace',
};

/** Of ten seconds of sound, on a machine that is busy with other things. */
const PLAY_LIMIT_MS = 100_000;
const RECORDINGS = '/tmp/recordings';

export class Lab {
  #failedFolder;
  #guest;
  #kind;
  #backends = [];

  /** `failedFolder` keeps what a failed scenario leaves. */
  constructor(failedFolder) {
    this.#failedFolder = failedFolder;
  }

  /** Where this scenario's recordings go. */
  get recordings() {
    return RECORDINGS;
  }

  /**
   * Runs a scenario, then ends its backends, and its guest where that is of a kind of its own. Resolves with its note, if any, or
   * with its error.
   */
  async carryOut({ name, guest, limitMs }, run) {
    this.#kind = guest;
    if (guest) await this.#guest?.destroy(); // of another kind, and its memory is wanted
    mkdirSync(RECORDINGS, { recursive: true });
    let timer;
    const tooLong = new Promise((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`took longer than ${limitMs / 1000} s`)), limitMs);
    });
    try {
      return { note: await Promise.race([run(this), tooLong]) };
    } catch (error) {
      this.#keep(name);
      await this.#guest?.destroy().catch(() => {}); // who knows what it is still doing
      return { error: error.stack ?? String(error) };
    } finally {
      clearTimeout(timer);
      if (guest) await this.#guest?.destroy().catch(() => {});
      // The next one may not find them still serving.
      await Promise.all(this.#backends.splice(0).map((backend) => backend.kill()));
      rmSync(RECORDINGS, { recursive: true });
    }
  }

  /**
   * The guest that scenarios share, or one of the scenario's own kind; a new one where the last was destroyed. A backend has to
   * be there.
   */
  async guest() {
    if (!this.#guest?.alive) this.#guest = await Guest.create(this.#kind);
    return this.#guest;
  }

  /** Starts `vsnd backend` with these arguments and waits until it serves. */
  async backend(...args) {
    const backend = new BackendProcess(args);
    this.#backends.push(backend);
    await backend.ready();
    return backend;
  }

  /** Plays in the guest until the end; resolves with what guest/play.js said of each stream, by its seed. */
  async play(guest, what) {
    const output = await guest.run(playCommand(what), { limitMs: PLAY_LIMIT_MS });
    return new Map(jsonLines(output, 'played').map((event) => [event.seed, event]));
  }

  #keep(name) {
    const folder = `${this.#failedFolder}/${name}`;
    cpSync(RECORDINGS, folder, { recursive: true });
    for (const backend of this.#backends) backend.writeLog(folder);
    for (const [file, command] of Object.entries(DIAGNOSES)) {
      const { stdout } = spawnSync('sh', ['-c', `${command} 2>&1`], { timeout: 5000, maxBuffer: 1 << 28 });
      writeFileSync(`${folder}/${file}.log`, stdout ?? '');
    }
  }
}
