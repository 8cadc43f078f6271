import { execFile, spawn } from 'node:child_process';
import { VsndError } from '../errors.ts';

/** ms: a sound server that is there answers at once. */
const DEADLINE = 5000;

/** Where Debian has the programs that reach a sound server. */
const PACKAGES: Readonly<Record<string, string>> = {
  pactl: 'pulseaudio-utils',
  'pw-cli': 'pipewire-bin',
  'pw-dump': 'pipewire-bin',
  setpriv: 'util-linux',
};

/** The environment of a program whose words are to be understood. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C' };
}

/**
 * Runs one of the servers' programs, without a shell, and gives what it printed. Rejects with ERR_VSND_SOUND_SERVER, in the
 * program's own words.
 */
export function runProgram(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      env: plainEnvironment(),
      timeout: DEADLINE,
      killSignal: 'SIGKILL',
      maxBuffer: 16 << 20,
    } as const;
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(explainFailure(program, args, error, stderr));
    });
  });
}

/**
 * Runs one of the servers' programs for as long as its server runs, and hands on what it prints. `onEnd`: why it has ended,
 * `farewell` where it does not say. Returns what ends it, without a word.
 */
export function followProgram(
  program: string,
  args: readonly string[],
  farewell: string,
  onText: (text: string) => void,
  onEnd: (reason: string) => void,
): () => void {
  const child = spawn(program, args, { env: plainEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
  let words = '';
  let isOver = false;
  const end = (reason: string): void => {
    if (isOver) return;
    isOver = true;
    onEnd(reason);
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (!isOver) onText(text);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-1000);
  });
  child.on('error', (error) => end(explainFailure(program, args, error, words).message));
  child.on('close', () => end(words.trim().split('\n')[0] || farewell));
  return () => {
    isOver = true;
    child.kill();
  };
}

/** The error for a program that cannot be run, or has failed. */
export function explainFailure(
  program: string,
  args: readonly string[],
  cause: Error & { code?: unknown; killed?: boolean | undefined },
  words: string,
): VsndError {
  const fail = (message: string) => new VsndError('ERR_VSND_SOUND_SERVER', message, { cause });
  if (cause.code === 'ENOENT') {
    const found = PACKAGES[program];
    return fail(
      `there is no ${program}${found === undefined ? '' : `: install ${found} (Debian's name of it)`}`,
    );
  }
  const what = `${program} ${args[0] ?? ''}`.trim();
  if (cause.killed) return fail(`${what} has not answered for ${DEADLINE / 1000} s`);
  const [line = cause.message] = words.trim().split('\n');
  if (/access denied/i.test(words)) {
    return fail(
      `the sound server does not let this user in (${line}): run vsnd as the user whose server it is`,
    );
  }
  if (/connection (?:refused|failure)|failed to connect|can't connect/i.test(words)) {
    return fail(`no sound server runs for this user (${what}: ${line})`);
  }
  return fail(`${what}: ${line}`);
}
