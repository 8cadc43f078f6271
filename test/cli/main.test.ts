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
    [['help', 'guest-setup.md'], /^# .*udev/s],
    [['help', 'doctor.md'], /^# /],
    [['play', '--help'], /^Usage: vsnd play.*Examples:/s],
    [['play', '--bogus', '-h'], /^Usage: vsnd play/],
    [['list', '--help'], /^Usage: vsnd list/],
  ])('%j', async (args, text) => {
    const { status, stdout, stderr } = await vsnd(args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(text);
  });

  test('the version', async () => {
    for (const option of ['--version', '-V']) {
      expect(await vsnd([option])).toEqual({ status: 0, stdout: `${version()}\n`, stderr: '' });
    }
  });

  test.each([
    [[], 'a command is missing; see vsnd --help'],
    [['sing'], "unknown command 'sing'; see vsnd --help"],
    [['--loud'], "unknown option '--loud'; see vsnd --help"],
    [['help', 'sing'], "there is no help on 'sing'; see vsnd --help"],
    [['help', 'recrod'], "there is no help on 'recrod'; did you mean 'record'?; see vsnd --help"],
    [['toString'], "unknown command 'toString'; see vsnd --help"],
    [['mointor'], "unknown command 'mointor'; did you mean 'monitor'?; see vsnd --help"],
    [['--vesrion'], "unknown option '--vesrion'; did you mean '--version'?; see vsnd --help"],
    [['play', '--emualte'], "unknown option '--emualte'; did you mean '--emulate'?; see vsnd play --help"],
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
    [
      ['play', '--emulate', '--sink', 'wav:-'],
      `--sink is 'wav:-'; allowed: ${SINK_NAMES}; see vsnd play --help`,
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
    expect(stdout.match(/^ {4}\d\/\d {2}(playback|capture ) {2}.*$/gm)).toHaveLength(4);
    expect(stdout).toMatch(/^ {4}0\/0 {2}playback {2}1-\d+ channels {2}\d+-\d+ Hz {2}buffer \d+/m);
    expect(stdout.match(/48000/g)).toHaveLength(1);
    expect(stdout).toMatch(/^ {2}rates:\n {4}8000, .*44100/m);
    expect(stdout).toMatch(/^ {2}formats of 0\/0, 1\/0, 2\/0:\n.*s16_le/m);
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
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
