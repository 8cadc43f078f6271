import { invalidArgError } from '../errors.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import type { EmulatedGuest } from './guest.ts';

/** The emulated guest that all of a process is, as on Xen it would be in one domain; started by the first user. */
interface ProcessGuest {
  readonly guest: Promise<EmulatedGuest>;
  users: number;
}

/** Known to every copy of this package in the process: two copies are two libraries, but not two guests. */
const PROCESS_GUEST = Symbol.for('vsnd.processGuest');
const WARNED = Symbol.for('vsnd.emulationWarned');

type ProcessWide = { [PROCESS_GUEST]?: ProcessGuest | undefined; [WARNED]?: boolean };

/** True where VSND_EMULATE=1 asks for the emulated machine. Throws ERR_VSND_INVALID_ARG for another value. */
export function isEmulationRequested(env: NodeJS.ProcessEnv = process.env): boolean {
  const value = env['VSND_EMULATE'] ?? '';
  if (!['', '0', '1'].includes(value))
    throw invalidArgError('VSND_EMULATE', value, '1, or 0 or nothing at all');
  return value === '1';
}

/** Joins the process's emulated guest; the last one to release it ends it. Warns once that this is not Xen. */
export async function joinProcessGuest(): Promise<{ hypervisor: Hypervisor; release(): Promise<void> }> {
  const shared = globalThis as ProcessWide;
  warnOnce(shared);
  shared[PROCESS_GUEST] ??= { guest: startGuest(), users: 0 };
  const joined = shared[PROCESS_GUEST];
  joined.users++;
  const release = async () => {
    joined.users--;
    if (joined.users > 0) return;
    if (shared[PROCESS_GUEST] === joined) shared[PROCESS_GUEST] = undefined;
    await (await joined.guest).close();
  };
  try {
    return { hypervisor: (await joined.guest).hypervisor, release };
  } catch (error) {
    if (shared[PROCESS_GUEST] === joined) shared[PROCESS_GUEST] = undefined;
    throw error;
  }
}

async function startGuest(): Promise<EmulatedGuest> {
  const { startEmulatedGuest } = await import('./guest.ts');
  return await startEmulatedGuest();
}

function warnOnce(shared: ProcessWide): void {
  if (shared[WARNED]) return;
  shared[WARNED] = true;
  process.emitWarning('VSND_EMULATE=1: sound goes to an emulated Xen machine in this process, not to Xen', {
    type: 'VsndWarning',
    code: 'VSND_EMULATED',
  });
}
