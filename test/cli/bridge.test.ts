import { describe, expect, test } from 'vitest';
import { SINK_NAMES } from '../../src/backend/device-names.ts';
import { vsnd } from './run.ts';

// What it does is tested with real sound servers: test/bridge/real.
describe('wrong usage', () => {
  test.each([
    [['jack'], "the sound server is 'jack'; allowed: pulse, pipewire"],
    [['pulse', 'pipewire'], "unexpected argument 'pipewire'"],
    [['--sink', 'null'], '--sink needs --emulate'],
    [['--source', 'sine'], '--source needs --emulate'],
    [['--emulate', '--sink', 'x'], `--sink is 'x'; allowed: ${SINK_NAMES}`],
    [['--no-sink', '--no-source'], '--no-sink and --no-source leave nothing to do'],
    [['--latency', '5'], "--latency is '5'; allowed: 10 to 2000 ms"],
    [['--card', 'x'], "--card is 'x'"],
  ])('%j is told of', async (args, message) => {
    const { status, stdout, stderr } = await vsnd(['bridge', ...args]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain('see vsnd bridge --help');
  });
});
