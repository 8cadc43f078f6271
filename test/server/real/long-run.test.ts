import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { noise, writeRaw } from '../../bridge/real/sound.ts';
import { hurryProcess } from '../../bridge/real/sound-server.ts';
import { outcomeOf } from './serve-command.ts';
import { RAW, serveHere } from './serve-here.ts';

/** s: `npm run test:server:long` plays for ten minutes. */
const LONG = Number(process.env['VSND_LONG_RUN_SECONDS'] ?? 0);
const PPM = Number(process.env['VSND_LONG_RUN_PPM'] ?? 200);

describe.skipIf(LONG === 0)('long-run', () => {
  test.each([PPM, -PPM])(
    'at %i ppm loses nothing, and does not grow',
    async (deviation) => {
      await hurryProcess(process.pid, 10); // what is shown must not depend on how busy the machine is
      const { playing, directory, env, server } = await serveHere(deviation, 500);
      const file = writeRaw(directory, 'sound.raw', noise('s16_le', 2, LONG * 48_000));
      const before = process.memoryUsage().rss;
      let heard = 0;
      playing.listener = (bytes) => {
        heard += bytes.length;
        for (const take of playing.takes) take.length = 0; // it would be what grows
      };
      const { status, stderr } = await outcomeOf(spawn('pacat', [...RAW, file], { env }), (LONG + 60) * 1000);
      expect(status, stderr).toBe(0);
      expect(server.sinks[0]).toMatchObject({ xruns: 0, frames: LONG * 48_000 });
      expect(heard).toBeGreaterThanOrEqual(LONG * 192_000);
      expect(process.memoryUsage().rss - before).toBeLessThan(300e6);
    },
    (LONG + 90) * 1000,
  );
});
