import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { VsndError } from '../errors.ts';
import { isMonitor } from './device-names.ts';

/** ms that pactl may take. */
const PATIENCE = 2000;

/**
 * The name of PulseAudio's default source, for a guest that has not been given one by the operator. Rejects with
 * ERR_VSND_DEVICE where that is a monitor, as on a machine without a microphone, or cannot be found out.
 */
export async function defaultSource(): Promise<string> {
  const name = /^Default Source: (\S+)$/m.exec(await serverInfo())?.[1];
  if (name !== undefined && !isMonitor(name)) return name;
  const found = name === undefined ? 'has none' : `is ${name}, which captures what others play`;
  throw new VsndError(
    'ERR_VSND_DEVICE',
    `PulseAudio's default source ${found}; --source or --map may name one`,
  );
}

async function serverInfo(): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C' };
  try {
    const { stdout } = await promisify(execFile)('pactl', ['info'], { env, timeout: PATIENCE });
    return stdout;
  } catch (cause) {
    const [reason = ''] = (cause as Error).message.trimEnd().split('\n').slice(-1);
    throw new VsndError('ERR_VSND_DEVICE', `cannot ask PulseAudio for its default source: ${reason}`, {
      cause,
    });
  }
}
