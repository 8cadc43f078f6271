import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SINK_NAMES } from '../../src/backend/device-names.ts';
import { version } from '../../src/cli/version.ts';
import { MAIN, start, vsnd } from './run.ts';

const hasXen = ['/dev/xen/xenbus', '/proc/xen/xenbus'].some((path) => existsSync(path));

describe('usage', () => {
  test.each([
    [['--help'], /^vsnd: the Xen virtual sound card/],
    [['-h'], /^vsnd: the Xen virtual sound card/],
    [['help'], /^vsnd: the Xen virtual sound card/],
    [['help', 'play'], /^Usage: vsnd play/],
    [['play', '--help'], /^Usage: vsnd play.*Examples:/s],
    [['play', '--bogus', '-h'], /^Usage: vsnd play/],
    [['list', '--help'], /^Usage: vsnd list/],
  ])('%j', async (args, text) => {
    const { status, stdout, stderr } = await vsnd(args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(text);
  });

  test('the version', async () => {
    expect(await vsnd(['--version'])).toEqual({ status: 0, stdout: `${version()}\n`, stderr: '' });
  });

  test.each([
    [[], 'a command is missing; see vsnd --help'],
    [['sing'], "unknown command 'sing'; see vsnd --help"],
    [['--loud'], "unknown option '--loud'; see vsnd --help"],
    [['help', 'sing'], "unknown command 'sing'; see vsnd --help"],
    [['play'], 'FILE is missing (--emulate has one); see vsnd play --help'],
    [['play', '--loud', 'a.wav'], "unknown option '--loud'; see vsnd play --help"],
    [['record', 'a.wav', 'b.wav'], "unexpected argument 'b.wav'; see vsnd record --help"],
    [['play', '--sink', 'null', 'a.wav'], '--sink needs --emulate; see vsnd play --help'],
    [['play', '--fast', 'a.wav'], '--fast needs --emulate; see vsnd play --help'],
    [['play', '--card', 'x', 'a.wav'], "--card is 'x'; allowed: 0, 1, 2, ...; see vsnd play --help"],
    [
      ['play', '--emulate', '--sink', 'wav:'],
      `--sink is 'wav:'; allowed: ${SINK_NAMES}; see vsnd play --help`,
    ],
    [['list', 'a'], "unexpected argument 'a'; see vsnd list --help"],
    [['list', '--xml'], "unknown option '--xml'; see vsnd list --help"],
  ])('%j: status 2', async (args, message) => {
    expect(await vsnd(args)).toEqual({ status: 2, stdout: '', stderr: `vsnd: ${message}\n` });
  });

  test('a process ends with its status', async () => {
    expect(await start(['--version']).ended()).toEqual({ status: 0, stdout: `${version()}\n`, stderr: '' });
    expect(await start(['sing']).ended()).toMatchObject({ status: 2, stdout: '' });
    expect(await start(['volume', '--socket', '/none']).ended()).toMatchObject({ status: 1, stdout: '' });
  });

  test('a reader that has gone away is no error', async () => {
    const running = start(['list', '--emulate']);
    running.child.stdout?.destroy();
    expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
  });
});

describe('list', () => {
  test('the emulated card', async () => {
    const { status, stdout, stderr } = await vsnd(['list', '--emulate']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^card 0/);
    expect(stdout).toMatch(/^ {2}state \w+; backend in domain 0, state \w+$/m);
    expect(stdout).toMatch(/^ {2}PCM device 0/m);
    expect(stdout).toMatch(/^ {4}stream 0, playback, id /m);
    expect(stdout).toMatch(/^ {6}rates {5}.*44100.*48000.* Hz$/m);
    expect(stdout).toMatch(/^ {6}formats {3}.*s16_le/m);
    expect(stdout).toMatch(/^ {6}channels {2}1 to \d+$/m);
    expect(stdout).toMatch(/^ {6}buffer {4}\d+ bytes$/m);
  });

  test('as JSON', async () => {
    const { status, stdout, stderr } = await vsnd(['list', '--emulate', '--json']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const rates = expect.arrayContaining([48_000]);
    const playback = { index: 0, type: 'playback', rates };
    const pcmDevices = [
      { index: 0, streams: [playback, { index: 1, type: 'capture', rates }] },
      { index: 1, streams: [playback] },
      { index: 2, streams: [playback] },
    ];
    expect(JSON.parse(stdout)).toMatchObject([{ devid: 0, backendDomid: 0, pcmDevices }]);
  });

  test.skipIf(hasXen)('without Xen: one clear sentence (skipped on Xen)', async () => {
    const { status, stdout, stderr } = await vsnd(['list']);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^vsnd: [^\n]*Xen[^\n]*\n$/);
  });

  test('VSND_DEBUG=1 shows where an error comes from', () => {
    const env = { ...process.env, VSND_DEBUG: '1' };
    const { stderr } = spawnSync(process.execPath, [MAIN, 'list', '--xml'], { env, encoding: 'utf8' });
    expect(stderr).toMatch(/^vsnd: UsageError: unknown option '--xml'\n {4}at /);
  });
});
