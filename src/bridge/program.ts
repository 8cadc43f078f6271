import { ChildProgram } from '../child-program.ts';
import { RealClock, timeout } from '../clock.ts';
import { VsndError } from '../errors.ts';

/** ns: a sound server that is there answers at once. */
const DEADLINE = 5e9;

/** Characters that a program may print: the graph of a server has some 100,000. */
const MOST_PRINTED = 16 << 20;

/** Where Debian has the programs that reach a sound server. */
const PACKAGES: Readonly<Record<string, string>> = {
  pactl: 'pulseaudio-utils',
  'pw-cli': 'pipewire-bin',
  'pw-dump': 'pipewire-bin',
  setpriv: 'util-linux',
};

/** Its words are to be understood. */
const ENVIRONMENT = { LC_ALL: 'C' };

/**
 * Starts one of the servers' programs, without a shell; `onText` takes what it prints. One that is tied ends with this
 * process, however that ends. Rejects with ERR_VSND_SOUND_SERVER.
 */
export async function startProgram(
  program: string,
  args: readonly string[],
  { onText, isTied = false }: { onText?: (text: string) => void; isTied?: boolean } = {},
): Promise<ChildProgram> {
  const command = { name: program, file: program, args, env: ENVIRONMENT, isTied };
  try {
    return await ChildProgram.start(command, { stdin: 'ignore', stdout: onText ?? 'ignore' });
  } catch (error) {
    throw programError(program, args, error as Error, '');
  }
}

/** Runs one of the servers' programs, and gives what it printed. Rejects with ERR_VSND_SOUND_SERVER, in the program's own words. */
export async function runProgram(program: string, args: readonly string[]): Promise<string> {
  let printed = '';
  let killed = false;
  const onText = (text: string) => {
    printed += text;
    if (printed.length > MOST_PRINTED) void child.end();
  };
  const child = await startProgram(program, args, { onText });
  const timer = timeout(new RealClock(), DEADLINE, () => {
    killed = true;
    void child.end();
  });
  await child.ended;
  timer.cancel();
  if (child.status === 0) return printed;
  const cause = Object.assign(new Error(child.explain('has ended')), { killed });
  throw programError(program, args, cause, child.stderr);
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
  const stopped = new AbortController();
  const { signal } = stopped;
  const follow = async (): Promise<string> => {
    const child = await startProgram(program, args, { onText: (text) => signal.aborted || onText(text) });
    const end = () => void child.end();
    if (signal.aborted) end();
    signal.addEventListener('abort', end);
    await child.ended;
    return child.lastLine || farewell;
  };
  const tell = (reason: string) => {
    if (!signal.aborted) onEnd(reason);
  };
  follow().then(tell, (error: Error) => tell(error.message));
  return () => stopped.abort();
}

/** The error for a program that cannot be run, or has failed. */
export function programError(
  program: string,
  args: readonly string[],
  cause: NodeJS.ErrnoException & { killed?: boolean },
  words: string,
): VsndError {
  const fail = (message: string) => new VsndError('ERR_VSND_SOUND_SERVER', message, { cause });
  if (cause.code === 'ENOENT') {
    const { path: missing = program } = cause; // setpriv, where that is to run the program
    const found = PACKAGES[missing];
    return fail(
      `there is no ${missing}${found === undefined ? '' : `: install ${found} (Debian's name of it)`}`,
    );
  }
  const what = `${program} ${args[0] ?? ''}`.trim();
  if (cause.killed) return fail(`${what} has not answered for ${DEADLINE / 1e9} s`);
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
