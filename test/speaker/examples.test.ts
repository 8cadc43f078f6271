import { expect, test } from 'vitest';
import { Running } from '../cli/run.ts';

// The examples of speaker's README and package, with one import changed, in processes of their own.

const STDIN = `
const speaker = new Speaker({
  channels: 2,
  bitDepth: 16,
  sampleRate: 44100
});
process.stdin.pipe(speaker);
`;

const SINE = `
const sine = new Readable();
sine.bitDepth = 16;
sine.channels = 2;
sine.sampleRate = 44100;
let frames = 0;
sine._read = function (n) {
  const count = n / 4 | 0;
  const bytes = Buffer.alloc(count * 4);
  for (let frame = 0; frame < count; frame++) {
    const value = Math.round(32760 * Math.sin((Math.PI * 2 * 440 * (frames + frame)) / this.sampleRate));
    bytes.writeInt16LE(value, frame * 4);
    bytes.writeInt16LE(value, frame * 4 + 2);
  }
  this.push(bytes);
  frames += count;
  if (frames >= this.sampleRate * 0.2) this.push(null);
};
sine.pipe(new Speaker());
`;

/** Says, when the program ends, how many bytes the backend has reported as played; with STOP its count begins anew. */
const COUNT_BYTES = `data:text/javascript,
  import { subscribe } from 'node:diagnostics_channel';
  let played = 0n;
  subscribe('vsnd:position', ({ position }) => { if (position > played) played = position; });
  process.on('exit', () => console.log('played ' + played));
`;

const MODULES = {
  import: `import Speaker from 'vsnd/speaker'; import { Readable } from 'node:stream';`,
  require: `const Speaker = require('vsnd/speaker'); const { Readable } = require('node:stream');`,
};

const run = (by: keyof typeof MODULES, program: string): Running =>
  new Running(
    process.execPath,
    [
      ...['--import', COUNT_BYTES],
      `--input-type=${by === 'import' ? 'module' : 'commonjs'}`,
      ...['--eval', MODULES[by] + program],
    ],
    { VSND_EMULATE: '1' },
  );

test.each(['import', 'require'] as const)('piping standard input, by %s', async (by) => {
  const running = run(by, STDIN);
  running.child.stdin?.end(Buffer.alloc(4 * 8820, 1));
  const { status, stdout, stderr } = await running.ended();
  expect(stderr).not.toMatch(/error|experimental/i);
  expect({ status, stdout }).toEqual({ status: 0, stdout: `played ${4 * 8820}\n` });
});

test.each(['import', 'require'] as const)('the sine wave, by %s', async (by) => {
  const { status, stdout } = await run(by, SINE).ended();
  const [, played] = /^played (\d+)\n$/.exec(stdout) ?? [];
  expect(status).toBe(0);
  expect(Number(played)).toBeGreaterThanOrEqual(4 * 8820);
});

test('two speakers of one process play at once, on one card', async () => {
  const { status, stdout } = await run(
    'import',
    `
    const speakers = [new Speaker(), new Speaker({ device: 'hw:0,2', channels: 1 })];
    for (const speaker of speakers) {
      speaker.on('close', () => console.log('closed', speaker.channels));
      speaker.end(Buffer.alloc(8820 * 2 * (speaker.channels ?? 2)));
    }
  `,
  ).ended();
  expect(status).toBe(0);
  expect(stdout).toMatch(/^closed [12]\nclosed [12]\nplayed \d+\n$/);
});

test('off Xen the first write fails with one clear error', async () => {
  const program = `
    const speaker = new Speaker();
    speaker.on('error', ({ code }) => console.log(code));
    speaker.on('close', () => console.log('closed'));
    speaker.write(Buffer.alloc(4));
  `;
  const running = new Running(process.execPath, ['--input-type=module', '--eval', MODULES.import + program]);
  const { status, stdout, stderr } = await running.ended();
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'ERR_VSND_NO_XEN\nclosed\n', stderr: '' });
});
