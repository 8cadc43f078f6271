import { ChildProgram } from '../child-program.ts';
import { RealClock, timeout } from '../clock.ts';
import { deferred } from '../deferred.ts';
import { VsndError } from '../errors.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import type { DeviceParams } from './pcm-device.ts';
import type { SoundProgram } from './programs.ts';

/** ns that a program has to show that it plays, or captures. */
const PATIENCE = 3e9;

/** The status by which a shell says that there is no such program. */
const NOT_FOUND = 127;

/** What every sound card has. */
const USUAL: Omit<DeviceParams, 'format' | 'frameBytes'> = { rate: 48_000, channels: 2, periodBytes: 0 };

/** Resolves when a program has reached what it plays into, with nothing to play. Rejects with ERR_VSND_DEVICE. */
export async function probePlayer(program: SoundProgram): Promise<void> {
  const child = await start(program, 'ignore');
  await answered(child, child.ended);
  if (child.status !== 0) throw notUsable(program, child.explain('does not play'), child.status);
}

/** Resolves when a program has captured something. Rejects with ERR_VSND_DEVICE. */
export async function probeRecorder(program: SoundProgram): Promise<void> {
  const heard = deferred();
  let hasHeard = false;
  const child = await start(program, () => {
    hasHeard = true;
    heard.resolve();
  });
  await answered(child, Promise.race([heard.promise, child.ended]));
  if (!hasHeard) throw notUsable(program, child.explain('captures nothing'), child.status);
}

async function start(program: SoundProgram, stdout: 'ignore' | (() => void)): Promise<ChildProgram> {
  const format = program.formats.includes('s16_le') ? 's16_le' : (program.formats[0] ?? 's16_le');
  const frameBytes = (pcmFormat(format).sampleBytes ?? 1) * USUAL.channels;
  const command = program.commandFor({ ...USUAL, format, frameBytes });
  try {
    return await ChildProgram.start(command, { stdin: 'ignore', stdout });
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const reason = `cannot start ${command.name}: ${(cause as Error).message}`;
    throw notUsable(program, reason, isMissing ? NOT_FOUND : undefined);
  }
}

/** Waits for what shows that a program is of use, and ends it then. Rejects with ERR_VSND_DEVICE where that takes too long. */
async function answered(child: ChildProgram, answer: Promise<void>): Promise<void> {
  let isLate = false;
  const { promise, resolve } = deferred();
  const limit = timeout(new RealClock(), PATIENCE, () => {
    isLate = true;
    resolve();
  });
  await Promise.race([answer, promise]);
  limit.cancel();
  const reason = child.explain(`has not answered in ${PATIENCE / 1e9} s`);
  await child.end();
  if (isLate) throw new VsndError('ERR_VSND_DEVICE', reason);
}

function notUsable({ debian }: SoundProgram, reason: string, status: number | undefined): VsndError {
  const advice = status === NOT_FOUND && debian !== undefined ? ` (Debian: ${debian})` : '';
  return new VsndError('ERR_VSND_DEVICE', `${reason}${advice}`);
}
