import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Ending, ProcessMachine } from './processes.ts';
import { NOTHING, named, SKIP_REASON } from './stand-in.ts';

/** What machine.js says where nothing is left. */
const NOTHING_LEFT = Object.entries(NOTHING)
  .map((entry) => entry.join(' '))
  .join(', ');

describe.skipIf(SKIP_REASON)(named('A stream that is carried while'), () => {
  let machine: ProcessMachine;

  beforeEach(async () => {
    machine = await ProcessMachine.start();
  });

  afterEach(() => machine.close());

  /** What a program does on its last day; SIGTERM comes when it is 'ready', a new card when it is 'restored'. */
  async function end(mode: string): Promise<Ending> {
    return await machine.run('ends.js', [mode], (line, kill) => {
      if (line === 'ready') kill('SIGTERM');
      if (line === 'restored') machine.renewCard();
    });
  }

  const quietly = { complaints: '', signal: null };

  test('everything is closed leaves nothing', async () => {
    expect(await end('close')).toEqual({ ...quietly, status: 0, lines: ['playing', NOTHING_LEFT] });
  });

  test.each(['exit', 'leaving-exit', 'main-exit'])(
    "the process ends with '%s' lets it end so",
    async (mode) => {
      expect(await end(mode)).toEqual({ ...quietly, status: 7, lines: ['playing'] });
    },
  );

  test('an exception ends the process adds nothing to what Node says', async () => {
    const { complaints, ...ending } = await end('throw');
    expect(ending).toEqual({ status: 1, signal: null, lines: ['playing'] });
    expect(complaints.match(/^\w*Error: .*/gm)).toEqual(['Error: on purpose']);
  });

  test.each(['signal', 'leaving-signal'])("SIGTERM ends the process ('%s') lets it end so", async (mode) => {
    expect(await end(mode)).toEqual({
      complaints: '',
      status: null,
      signal: 'SIGTERM',
      lines: ['playing', 'ready'],
    });
  });

  test('SIGTERM is handled by the program leaves nothing', async () => {
    const lines = ['playing', 'ready', NOTHING_LEFT];
    expect(await end('own-signal')).toEqual({ ...quietly, status: 7, lines });
  });

  test.each(['worker-terminate', 'worker-exit'])("its worker ends ('%s') leaves nothing", async (mode) => {
    expect(await end(mode)).toEqual({ ...quietly, status: 0, lines: ['playing', NOTHING_LEFT] });
  });

  test('an exception ends its worker leaves nothing', async () => {
    const lines = ['playing', 'error on purpose', NOTHING_LEFT];
    expect(await end('worker-throw')).toEqual({ ...quietly, status: 0, lines });
  });

  test('children are started is carried on, and they have none of its devices', async () => {
    const lines = ['playing', 'playing', NOTHING_LEFT];
    expect(await end('children')).toEqual({ ...quietly, status: 0, lines });
  });

  describe.each([
    ['its guest is saved and restored', 'restore', ['restored']],
    ['its backend dies', 'death', []],
  ])('%s', (_, mode, told) => {
    test('fails, and leaves nothing', async () => {
      const failures = 'ERR_VSND_BACKEND_GONE ERR_VSND_BACKEND_GONE';
      const lines = ['playing', ...told, failures, NOTHING_LEFT];
      expect(await end(mode)).toEqual({ ...quietly, status: 0, lines });
    });

    test('is carried again by the next connection, and leaves nothing', async () => {
      const lines = ['playing', ...told, 'playing', '', NOTHING_LEFT];
      expect(await end(`${mode}:reconnect`)).toEqual({ ...quietly, status: 0, lines });
    });
  });

  test('it is destroyed is garbage', async () => {
    expect(await end('garbage')).toEqual({
      ...quietly,
      status: 0,
      lines: ['playing', 'collected', NOTHING_LEFT],
    });
  });
});
