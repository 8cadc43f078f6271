import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { RealClock } from '../../src/clock.ts';
import type { ControlClient } from '../../src/control/client.ts';
import { findEmulatedOwner, findOwner } from '../../src/control/find.ts';
import { ownUid } from '../../src/control/own-directory.ts';
import { cardSocket, controlDirectories, emulatedSocket, placeSocket } from '../../src/control/places.ts';
import { offerControl } from '../../src/control/server.ts';
import { ADDON } from '../native/stand-in.ts';
import { useDirectory } from '../wav/files.ts';
import { fakeCard, serve } from './fake-card.ts';

const files = useDirectory();
const clock = new RealClock();
const withAddon = test.skipIf(!existsSync(ADDON)); // npm run build:native
const isRoot = process.geteuid?.() === 0;

/** Root can be several users. */
const OWNER_UID = isRoot ? 65_534 : ownUid();

/** A devid that no card of this machine, and no other test, has. */
const DEVID = 900_000_000 + (process.pid % 90_000_000);

beforeEach(() => vi.stubEnv('VSND_CONTROL_DIR', files.path('control')));
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** A device node, as Xen's is, on which cards are claimed here. */
const CLAIMS = '/dev/null';

/** Starts a process of {@link OWNER_UID} that owns card {@link DEVID}, as xen/linux/claim.ts has it; its pid. */
async function startOwner(): Promise<number> {
  const script = fileURLToPath(new URL('../native/claimer.js', import.meta.url));
  const user = isRoot ? [String(OWNER_UID)] : [];
  const args = [script, ADDON, CLAIMS, `vsnd/${DEVID}`, ...user];
  const owner = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(owner, 'exit'); // only then is the card free again
  onTestFinished(() => {
    owner.kill('SIGKILL');
    return ended.then(() => {});
  });
  await once(owner.stdout, 'data');
  return owner.pid ?? 0;
}

const pathsIn = (directory: string): string[] => readdirSync(directory).map((name) => join(directory, name));

/** The answer to 'which card is it', once. */
async function devidOf(found: Promise<ControlClient>): Promise<number> {
  const client = await found;
  try {
    return (await client.request('status', {})).card.devid;
  } finally {
    await client.close();
  }
}

/** Serves a card of that number under a name. */
async function serveAs(name: string, devid: number): Promise<void> {
  const { card } = fakeCard();
  await serve({ ...card, info: { ...card.info, devid } }, await placeSocket(name));
}

/** Leaves a socket behind as a process does that is killed; PID in `name` stands for its pid. */
function leaveSocket(name: string): string {
  const directory = files.path('control');
  mkdirSync(directory, { mode: 0o700 });
  const program = `const [, directory, name] = process.argv;
    const path = require('path').join(directory, name.replace('PID', process.pid));
    require('net').createServer().listen(path, () => process.kill(process.pid, 'SIGKILL'));`;
  const { pid } = spawnSync(process.execPath, ['-e', program, directory, name]);
  const path = join(directory, name.replace('PID', String(pid)));
  expect(existsSync(path)).toBe(true);
  return path;
}

describe('places', () => {
  test.each<[number, NodeJS.ProcessEnv, string[]]>([
    [0, {}, ['/run/vsnd', join(tmpdir(), 'vsnd-0')]],
    [0, { XDG_RUNTIME_DIR: '/run/user/1000' }, ['/run/vsnd', join(tmpdir(), 'vsnd-0')]],
    [1000, {}, ['/run/user/1000/vsnd', join(tmpdir(), 'vsnd-1000')]],
    [1000, { XDG_RUNTIME_DIR: '/x/y' }, ['/x/y/vsnd', join(tmpdir(), 'vsnd-1000')]],
    [1000, { XDG_RUNTIME_DIR: 'y' }, ['/run/user/1000/vsnd', join(tmpdir(), 'vsnd-1000')]],
    [1000, { VSND_CONTROL_DIR: '/z', XDG_RUNTIME_DIR: '/x/y' }, ['/z']],
    [1000, { VSND_CONTROL_DIR: '' }, ['/run/user/1000/vsnd', join(tmpdir(), 'vsnd-1000')]],
  ])('of user %i, with %j', (uid, env, directories) => {
    expect(controlDirectories(uid, env)).toEqual(directories);
  });

  test.skipIf(isRoot)('the first that can be used (skipped for root)', async () => {
    vi.stubEnv('VSND_CONTROL_DIR', '');
    vi.stubEnv('TMPDIR', files.path('.'));
    vi.stubEnv('XDG_RUNTIME_DIR', files.path('none'));
    expect(await placeSocket('a')).toBe(join(tmpdir(), `vsnd-${ownUid()}`, 'a'));
    vi.stubEnv('XDG_RUNTIME_DIR', files.path('.'));
    expect(await placeSocket('a')).toBe(files.path('vsnd/a'));
  });

  test('none that can be used', async () => {
    vi.stubEnv('VSND_CONTROL_DIR', files.path('none/at/all'));
    await expect(placeSocket('a')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('the owner of a card', () => {
  test('is found by its number, and the first one without', async () => {
    await serveAs(cardSocket(10), 10);
    await serveAs(cardSocket(2), 2);
    await serveAs(emulatedSocket(1), 99);
    expect(await devidOf(findOwner(undefined, clock))).toBe(2);
    expect(await devidOf(findOwner(10, clock))).toBe(10);
  });

  test('is not one that is dead', async () => {
    leaveSocket(cardSocket(2));
    await serveAs(cardSocket(10), 10);
    expect(await devidOf(findOwner(undefined, clock))).toBe(10);
  });

  test('nobody has it', async () => {
    await expect(findOwner(DEVID, clock, CLAIMS)).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_STATE',
      message: `no process has card ${DEVID} open`,
    });
  });

  withAddon('somebody has it, without a control socket', async () => {
    const pid = await startOwner();
    vi.spyOn(process, 'geteuid').mockReturnValue(OWNER_UID);
    const error = await findOwner(DEVID, clock, CLAIMS).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'ERR_VSND_NOT_SUPPORTED', pid });
    expect((error as Error).message).toBe(
      `process ${pid} has card ${DEVID} open, but no control socket in ${controlDirectories(OWNER_UID).join(', ')}`,
    );
  });

  withAddon('it belongs to another user', async () => {
    const pid = await startOwner();
    vi.spyOn(process, 'geteuid').mockReturnValue(OWNER_UID + 1);
    await expect(findOwner(DEVID, clock, CLAIMS)).rejects.toMatchObject({
      code: 'ERR_VSND_CARD_BUSY',
      pid,
      message:
        `card ${DEVID} is in use by process ${pid} of user ${OWNER_UID}: ` +
        'only that user, and root, may control it',
    });
  });

  withAddon("root finds it in that user's places", async () => {
    await startOwner();
    vi.stubEnv('TMPDIR', files.path('.'));
    const directory = files.path(`vsnd-${OWNER_UID}`);
    for (const devid of [1, DEVID]) {
      const { card } = fakeCard();
      await serve({ ...card, info: { ...card.info, devid } }, join(directory, cardSocket(devid)));
    }
    if (isRoot) for (const path of [directory, ...pathsIn(directory)]) chownSync(path, OWNER_UID, OWNER_UID);
    const spy = vi.spyOn(process, 'geteuid').mockReturnValue(0);
    expect(await devidOf(findOwner(DEVID, clock, CLAIMS))).toBe(DEVID);
    spy.mockReturnValue(OWNER_UID + 1);
    await expect(findOwner(DEVID, clock, CLAIMS)).rejects.toMatchObject({ code: 'ERR_VSND_CARD_BUSY' });
  });

  test('a link to a socket, and a directory that is a link, are left alone', async () => {
    const { card } = fakeCard();
    const { path } = await serve(card, files.path('elsewhere/card-3.sock'));
    mkdirSync(files.path('control'), { mode: 0o700 });
    symlinkSync(path, files.path('control/card-3.sock'));
    const nobody = { code: 'ERR_VSND_INVALID_STATE' };
    await expect(findOwner(3, clock)).rejects.toMatchObject(nobody);
    vi.stubEnv('VSND_CONTROL_DIR', files.path('elsewhere'));
    expect(await devidOf(findOwner(3, clock))).toBe(2);
    symlinkSync(files.path('elsewhere'), files.path('link'));
    vi.stubEnv('VSND_CONTROL_DIR', files.path('link'));
    await expect(findOwner(3, clock)).rejects.toMatchObject(nobody);
  });

  test.skipIf(!isRoot)('what belongs to somebody else is left alone (skipped but for root)', async () => {
    const { card } = fakeCard();
    await serve(card, files.path('control/card-3.sock'));
    expect(await devidOf(findOwner(3, clock))).toBe(2);
    chownSync(files.path('control/card-3.sock'), 65_534, 65_534);
    await expect(findOwner(3, clock)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
  });
});

describe('the owner of an emulated card', () => {
  const none = { code: 'ERR_VSND_INVALID_STATE', message: 'no process has an emulated card open' };

  test('is the only one there is', async () => {
    await expect(findEmulatedOwner(clock)).rejects.toMatchObject(none);
    await serveAs(cardSocket(1), 1);
    await expect(findEmulatedOwner(clock)).rejects.toMatchObject(none);
    await serveAs(emulatedSocket(process.pid), 7);
    expect(await devidOf(findEmulatedOwner(clock))).toBe(7);
  });

  test('cannot be chosen among several', async () => {
    await serveAs(emulatedSocket(20), 7);
    await serveAs(emulatedSocket(3), 7);
    const openPipes = () => process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length;
    const before = openPipes();
    const paths = [3, 20].map((pid) => files.path(`control/emulated-${pid}.sock`)).join(', ');
    await expect(findEmulatedOwner(clock)).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_STATE',
      message: `several processes have an emulated card open: choose one by its socket, ${paths}`,
    });
    await vi.waitFor(() => expect(openPipes()).toBe(before));
  });

  test('that was killed leaves nothing for long', async () => {
    const path = leaveSocket('emulated-PID.sock');
    await expect(findEmulatedOwner(clock)).rejects.toMatchObject(none);
    expect(existsSync(path)).toBe(false);
  });

  test('that lives is left its socket, served or not', async () => {
    const path = leaveSocket(emulatedSocket(process.pid));
    await expect(findEmulatedOwner(clock)).rejects.toMatchObject(none);
    expect(existsSync(path)).toBe(true);
  });
});

describe('offering control', () => {
  test('under a name, and until it is ended', async () => {
    const end = await offerControl(fakeCard().card, { name: cardSocket(2) });
    expect(await devidOf(findOwner(2, clock))).toBe(2);
    await end();
    expect(readdirSync(files.path('control'))).toEqual([]);
    await end();
  });

  test('where that fails, there is none, and nobody is disturbed', async () => {
    vi.stubEnv('VSND_CONTROL_DIR', files.path('none/at/all'));
    const end = await offerControl(fakeCard().card, { name: cardSocket(2) });
    await end();
    await (await offerControl(fakeCard().card, { path: '' }))();
  });
});
