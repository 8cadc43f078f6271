import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ADDON } from './stand-in.ts';

const SKIP_REASON = existsSync(ADDON) ? undefined : 'the addon has not been built: npm run test:native';

interface PeerTools {
  peerCredentials(fd: unknown): { pid: number; uid: number; gid: number };
}

test.skipIf(SKIP_REASON)('who has connected a socket is told', async () => {
  const { peerCredentials }: PeerTools = createRequire(import.meta.url)(ADDON);
  const folder = mkdtempSync(join(tmpdir(), 'vsnd-peer-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const server = createServer().listen(join(folder, 'socket'));
  const client = connect(join(folder, 'socket'));
  const [socket]: Socket[] = await once(server, 'connection');
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const [uid, gid] = [process.getuid?.(), process.getgid?.()];
  expect(peerCredentials(fd)).toEqual({ pid: process.pid, uid, gid });
  expect(() => peerCredentials('x')).toThrow(TypeError);
  expect(() => peerCredentials(1 << 20)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  client.destroy();
  socket?.destroy();
  server.close();
});
