import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { inTime } from '../../src/backend/patience.ts';
import { ManualClock } from '../../src/clock.ts';
import { encodeXsMessage, encodeXsStrings, XsMessageDecoder } from '../../src/wire/xenstore.ts';
import type { XenStoreTransport } from '../../src/xen/hypervisor.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';

const DIST = new URL('../../dist/', import.meta.url);

/** A program that asks XenStore, at its standard input and output, for one value, and ends with it or with what went wrong. */
const PROGRAM = `
  import { RealClock } from ${JSON.stringify(`${DIST}clock.js`)};
  import { XenStoreClient } from ${JSON.stringify(`${DIST}xenstore/client.js`)};
  const transport = {
    send: (message) => process.stdout.write(message),
    onData: (handler) => process.stdin.on('data', handler),
    onClose: () => {},
    close: async () => process.stdin.destroy(),
  };
  const client = new XenStoreClient(transport, new RealClock());
  const value = await client.read('domid').catch(({ message }) => message);
  process.stderr.write(value);
  await client.close();
`;

test('a process that is stopped for longer than XenStore may take has lost nothing', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM]);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  const [bytes] = await once(child.stdout, 'data');
  const [request] = new XsMessageDecoder().push(bytes);
  if (request === undefined) throw new Error('the program has not asked');
  child.kill('SIGSTOP');
  child.stdin.write(encodeXsMessage({ ...request, payload: encodeXsStrings('7') }));
  await wait(5500); // there is no other way to stop a real process for so long
  child.kill('SIGCONT');
  await once(child, 'close');
  expect(said.replace('\0', '')).toBe('7');
}, 20_000);

describe('a loop that stood still, on the manual clock', () => {
  /** A daemon whose answers the test gives. */
  const start = () => {
    const clock = new ManualClock();
    const requests: Uint8Array[] = [];
    let emit: (chunk: Uint8Array) => void = () => {};
    const transport: XenStoreTransport = {
      send: (message) => void requests.push(message),
      onData: (handler) => {
        emit = handler;
      },
      onClose() {},
      close: async () => {},
    };
    const client = new XenStoreClient(transport, clock);
    const answer = () => {
      const [request] = new XsMessageDecoder().push(Buffer.concat(requests));
      if (request) emit(encodeXsMessage({ ...request, payload: Buffer.from('7') }));
    };
    return { clock, client, answer };
  };

  test('XenStore’s answer that waits in the socket counts', async () => {
    const { clock, client, answer } = start();
    const value = client.read('domid');
    clock.after(5e9, answer); // what poll() finds after the timers of the same turn
    await clock.advanceTime(5e9);
    expect(await value).toBe('7');
  });

  test('XenStore’s answer that the kernel has yet to hand over counts', async () => {
    const { clock, client, answer } = start();
    const value = client.read('domid');
    await clock.standStill(6e9);
    await clock.advanceTime(1e9);
    answer();
    expect(await value).toBe('7');
  });

  test('a device that has opened meanwhile has opened in time', async () => {
    const clock = new ManualClock();
    let open: (name: string) => void = () => {};
    const opening = new Promise<string>((resolve) => {
      open = resolve;
    });
    const opened = inTime(opening, 5e9, clock, () => new Error('too late'));
    await clock.standStill(6e9);
    open('voice');
    expect(await opened).toBe('voice');
    expect(clock.pendingTimers).toBe(0);
  });
});
