import { createHook } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { VsndError } from '../../src/errors.ts';
import {
  encodeXsMessage,
  encodeXsStrings,
  encodeXsWrite,
  type XsMessage,
  XsMessageDecoder,
  XsType,
} from '../../src/wire/xenstore.ts';
import { type Hypervisor, PAGE_SIZE, type XenStoreTransport } from '../../src/xen/hypervisor.ts';

/**
 * Two domains that may share pages and event channels, each with a XenStore directory that it may write to.
 */
export interface ContractSetup {
  frontend: Hypervisor;
  frontendDomid: number;
  backend: Hypervisor;
  backendDomid: number;
  /** A path of the frontend's own, absolute, that does not exist yet; the backend may or may not read it. */
  scratch: string;
  /**
   * Resolves when nothing is under way any more, as far as can be told; then what has not come does not come.
   */
  settle(): Promise<void>;
  /** Ends the frontend's connections to XenStore from the other side, where that can be done. */
  loseXenStore?(): void;
  /** Ends both domains' processes; throws where something is left behind. */
  teardown(): Promise<void>;
}

/** What every {@link Hypervisor} does, tried between two domains. */
export function describeHypervisor(name: string, setup: () => Promise<ContractSetup>): void {
  describe(name, () => {
    let s: ContractSetup;

    beforeEach(async () => {
      s = await setup();
    });

    afterEach(async () => {
      await s.teardown();
    });

    describe('grants', () => {
      test('are zeroed pages, a reference each, that the other domain maps and both see', async () => {
        const granted = await s.frontend.grants.grant(s.backendDomid, 3);
        expect(granted.byteLength).toBe(3 * PAGE_SIZE);
        expect(granted.grefs).toHaveLength(3);
        expect(new Set([0, ...granted.grefs]).size).toBe(4);
        const all = new Uint8Array(3 * PAGE_SIZE).fill(1);
        granted.copyOut(0, all);
        expect(all.every((byte) => byte === 0)).toBe(true);

        const mapped = await s.backend.mapper.map(s.frontendDomid, granted.grefs);
        expect(mapped.byteLength).toBe(3 * PAGE_SIZE);
        granted.store32(PAGE_SIZE, 0xfffffffe);
        expect(mapped.load32(PAGE_SIZE)).toBe(0xfffffffe);
        const text = Buffer.from('across the border of two pages');
        mapped.copyIn(2 * PAGE_SIZE - 10, text);
        const copy = Buffer.alloc(text.length);
        granted.copyOut(2 * PAGE_SIZE - 10, copy);
        expect(copy).toEqual(text);
        await mapped.release();
        await granted.release();
      });

      test('are little-endian words', async () => {
        const granted = await s.frontend.grants.grant(s.backendDomid, 1);
        granted.store32(4, 0x04030201);
        const bytes = new Uint8Array(4);
        granted.copyOut(4, bytes);
        expect([...bytes]).toEqual([1, 2, 3, 4]);
        await granted.release();
      });

      test('are mapped in the order of the references, whichever grants they are of', async () => {
        const first = await s.frontend.grants.grant(s.backendDomid, 2);
        const second = await s.frontend.grants.grant(s.backendDomid, 1);
        const [a = 0, b = 0] = first.grefs;
        const [c = 0] = second.grefs;
        first.store32(0, 0xa);
        first.store32(PAGE_SIZE, 0xb);
        second.store32(0, 0xc);
        const mapped = await s.backend.mapper.map(s.frontendDomid, [b, c, a]);
        expect([0, 1, 2].map((page) => mapped.load32(page * PAGE_SIZE))).toEqual([0xb, 0xc, 0xa]);
        const bytes = Uint8Array.from({ length: PAGE_SIZE + 200 }, (_, index) => index % 251);
        mapped.copyIn(PAGE_SIZE - 100, bytes);
        const copy = new Uint8Array(bytes.length);
        mapped.copyOut(PAGE_SIZE - 100, copy);
        expect(copy).toEqual(bytes);
        const end = new Uint8Array(100);
        first.copyOut(2 * PAGE_SIZE - 100, end);
        expect(end).toEqual(bytes.subarray(0, 100));
        await Promise.all([mapped.release(), first.release(), second.release()]);
      });

      test('for reading only cannot be mapped for writing, nor written through', async () => {
        const granted = await s.frontend.grants.grant(s.backendDomid, 1, 'read-only');
        await expect(s.backend.mapper.map(s.frontendDomid, granted.grefs)).rejects.toMatchObject({
          code: 'ERR_VSND_HYPERVISOR',
          errno: expect.any(String),
        });
        const mapped = await s.backend.mapper.map(s.frontendDomid, granted.grefs, 'read-only');
        granted.store32(0, 7);
        expect(mapped.load32(0)).toBe(7);
        expect(() => mapped.store32(0, 8)).toThrow();
        expect(() => mapped.copyIn(0, new Uint8Array(1))).toThrow();
        expect(granted.load32(0)).toBe(7);
        await mapped.release();
        await granted.release();
      });

      test('can be mapped neither by a wrong reference nor after their release', async () => {
        const granted = await s.frontend.grants.grant(s.backendDomid, 1);
        await granted.release();
        for (const grefs of [granted.grefs, [0xfffffff0]]) {
          await expect(s.backend.mapper.map(s.frontendDomid, grefs)).rejects.toMatchObject({
            code: 'ERR_VSND_HYPERVISOR',
          });
        }
      });

      test('released while mapped leave the mapping alive', async () => {
        const granted = await s.frontend.grants.grant(s.backendDomid, 1);
        const mapped = await s.backend.mapper.map(s.frontendDomid, granted.grefs);
        granted.store32(0, 42);
        await granted.release();
        expect(mapped.load32(0)).toBe(42);
        mapped.store32(0, 43);
        expect(mapped.load32(0)).toBe(43);
        await mapped.release();
      });

      test('throw out of bounds, and all the time after release, which may be repeated', async () => {
        const granted = await s.frontend.grants.grant(s.backendDomid, 1);
        const mapped = await s.backend.mapper.map(s.frontendDomid, granted.grefs);
        for (const pages of [mapped, granted]) {
          expect(() => pages.load32(PAGE_SIZE)).toThrow();
          expect(() => pages.load32(-4)).toThrow();
          expect(() => pages.store32(2, 0)).toThrow();
          expect(() => pages.copyOut(PAGE_SIZE - 1, new Uint8Array(2))).toThrow();
          expect(() => pages.copyIn(PAGE_SIZE - 1, new Uint8Array(2))).toThrow();
          expect(() => pages.copyIn(Number.NaN, new Uint8Array(2))).toThrow();
          await pages.release();
          await pages.release();
          const released = { code: 'ERR_VSND_INVALID_STATE' };
          expect(thrown(() => pages.load32(0))).toMatchObject(released);
          expect(thrown(() => pages.store32(0, 0))).toMatchObject(released);
          expect(thrown(() => pages.copyIn(0, new Uint8Array(1)))).toMatchObject(released);
          expect(thrown(() => pages.copyOut(0, new Uint8Array(1)))).toMatchObject(released);
        }
      });
    });

    describe('event channels', () => {
      async function channel() {
        const unbound = await s.frontend.eventChannels.bindUnbound(s.backendDomid);
        const bound = await s.backend.eventChannels.bindInterdomain(s.frontendDomid, unbound.port);
        return { unbound, bound };
      }

      test('notify in both directions', async () => {
        const { unbound, bound } = await channel();
        const seen: string[] = [];
        const both = new Promise<void>((resolve) => {
          unbound.onNotify(() => {
            seen.push('frontend');
            bound.onNotify(() => {
              seen.push('backend');
              resolve();
            });
            unbound.notify();
          });
        });
        bound.notify();
        await both;
        expect(seen[0]).toBe('frontend');
        expect(seen[1]).toBe('backend');
        await unbound.unbind();
        await bound.unbind();
      });

      test('keep what comes before there is a handler, merged', async () => {
        const { unbound, bound } = await channel();
        for (let index = 0; index < 100; index++) bound.notify();
        await s.settle();
        let calls = 0;
        await new Promise<void>((resolve) => {
          unbound.onNotify(() => {
            calls += 1;
            resolve();
          });
        });
        await s.settle();
        // The first one masks the port, and what comes then may be another call.
        expect(calls).toBeLessThanOrEqual(2);
        await Promise.all([unbound.unbind(), bound.unbind()]);
      });

      test('call the handler again for what comes while it runs', async () => {
        const { unbound, bound } = await channel();
        let calls = 0;
        const enough = new Promise<void>((resolve) => {
          bound.onNotify(() => unbound.notify());
          unbound.onNotify(() => {
            calls += 1;
            if (calls === 5) resolve();
            else bound.notify();
          });
        });
        bound.notify();
        await enough;
        await Promise.all([unbound.unbind(), bound.unbind()]);
      });

      test('cost neither promises nor microtasks', async () => {
        const { unbound, bound } = await channel();
        const rounds = 400;
        let made = 0;
        const hook = createHook({
          init: (_, type) => {
            if (type === 'PROMISE' || type === 'Microtask') made += 1;
          },
        });
        let calls = 0;
        await new Promise<void>((resolve) => {
          bound.onNotify(() => bound.notify());
          unbound.onNotify(() => {
            calls += 1;
            if (calls === 10) hook.enable();
            if (calls < 10 + rounds) unbound.notify();
            else resolve();
          });
          unbound.notify();
        });
        hook.disable();
        // Whoever runs these tests makes a few meanwhile.
        expect(made).toBeLessThan(rounds / 4);
        await Promise.all([unbound.unbind(), bound.unbind()]);
      });

      test('that lead to nothing are answered ever later, until one leads to something', async () => {
        const { unbound, bound } = await channel();
        const { clock } = s.frontend;
        let calls = 0;
        let isIdle = true;
        let wake = () => {};
        unbound.onNotify(() => {
          calls += 1;
          if (isIdle) unbound.idle();
          wake();
        });
        const nextCall = () =>
          new Promise<void>((resolve) => {
            wake = resolve;
          });
        const start = clock.now();
        for (let round = 0; round < 16; round++) {
          bound.notify();
          await s.settle();
        }
        // After so many calls the port has been masked for 1, 2, 4 ... 256 ms; each call could come in between.
        const milliseconds = (clock.now() - start) / 1e6;
        const delays = milliseconds < 511 ? Math.log2(milliseconds + 1) : 9 + (milliseconds - 511) / 256;
        expect(calls).toBeLessThanOrEqual(Math.floor(delays) + 6);
        expect(calls).toBeGreaterThanOrEqual(5);
        // What comes while it is masked is not lost.
        isIdle = false;
        const late = nextCall();
        bound.notify();
        await late;
        await s.settle();
        const before = calls;
        for (let round = 0; round < 8; round++) {
          const called = nextCall();
          bound.notify();
          await called;
          await s.settle();
        }
        expect(calls).toBe(before + 8);
        await Promise.all([unbound.unbind(), bound.unbind()]);
      });

      test('that lead to nothing delay no other port, and can be given up while they are delayed', async () => {
        const [hostile, good] = [await channel(), await channel()];
        hostile.unbound.onNotify(() => hostile.unbound.idle());
        for (let round = 0; round < 20; round++) {
          hostile.bound.notify();
          await s.settle();
          const heard = new Promise<void>((resolve) => good.unbound.onNotify(resolve));
          good.bound.notify();
          await heard;
        }
        hostile.bound.notify();
        const ports = [hostile.unbound, hostile.bound, good.unbound, good.bound];
        await Promise.all(ports.map((port) => port.unbind()));
      });

      test('are not forgotten in a domain that lives on, however often one asks', async () => {
        const { unbound, bound } = await channel();
        let calls = 0;
        let wake = () => {};
        unbound.onNotify(() => {
          calls += 1;
          wake();
        });
        await s.settle();
        const notified = async () => {
          const before = calls;
          const woken = new Promise<void>((resolve) => {
            wake = resolve;
          });
          bound.notify();
          await woken;
          expect(calls).toBe(before + 1);
        };
        await notified();
        for (let round = 0; round < 100; round++) {
          const asked = s.frontend.eventChannels.forgetIfRestored();
          if (round % 10 === 0) await notified();
          expect(await asked).toBe(false);
        }
        await notified();
        unbound.notify();
        await Promise.all([unbound.unbind(), bound.unbind()]);
      });

      test('can be bound and unbound while one asks whether they are to be forgotten', async () => {
        const { bindUnbound, forgetIfRestored } = s.frontend.eventChannels;
        expect(await forgetIfRestored()).toBe(false);
        const first = await bindUnbound(s.backendDomid);
        const [asked, second, again, ...more] = await Promise.all([
          forgetIfRestored(),
          bindUnbound(s.backendDomid),
          forgetIfRestored(),
          bindUnbound(s.backendDomid),
          bindUnbound(s.backendDomid),
        ]);
        const numbers = [first, second, ...more].map(({ port }) => port);
        expect(new Set(numbers).size).toBe(4);
        // Beside a free number: with the lowest one given back.
        const answers = [asked, again, first.unbind(), forgetIfRestored(), forgetIfRestored()];
        expect(await Promise.all(answers)).toEqual([false, false, undefined, false, false]);
        const peer = await s.backend.eventChannels.bindInterdomain(s.frontendDomid, second.port);
        const heard = new Promise<void>((resolve) => peer.onNotify(resolve));
        second.notify();
        await heard;
        // Nothing that asking has bound is left: the free number is the next one.
        const next = await bindUnbound(s.backendDomid);
        expect(next.port).toBeLessThanOrEqual(Math.max(...numbers) + 1);
        await Promise.all([next, second, ...more, peer].map((port) => port.unbind()));
        expect(await forgetIfRestored()).toBe(false);
      });

      test('refuse a port that is not there, and one that is bound already', async () => {
        const { unbound, bound } = await channel();
        for (const port of [unbound.port, 3999]) {
          await expect(s.backend.eventChannels.bindInterdomain(s.frontendDomid, port)).rejects.toMatchObject({
            code: 'ERR_VSND_HYPERVISOR',
            errno: expect.any(String),
          });
        }
        await Promise.all([unbound.unbind(), bound.unbind()]);
      });

      test('are silent once an end is unbound: no handler runs, a notify goes nowhere', async () => {
        const { unbound, bound } = await channel();
        let calls = 0;
        unbound.onNotify(() => {
          calls += 1;
        });
        await s.settle();
        calls = 0;
        bound.notify();
        const unbinding = unbound.unbind();
        await unbinding;
        await s.settle();
        expect(calls).toBe(0);
        bound.notify();
        await s.settle();
        expect(calls).toBe(0);
        await unbound.unbind();
        expect(thrown(() => unbound.notify())).toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
        await bound.unbind();
      });
    });

    describe('XenStore', () => {
      test('answers each request, with its id, in the order of the requests of one connection', async () => {
        const store = new Conversation(await s.frontend.openXenStore());
        const value = Buffer.from([0, 1, 254, 255]);
        store.send(XsType.write, encodeXsWrite(s.scratch, value), 0xffffffff);
        store.send(XsType.read, encodeXsStrings(s.scratch), 0);
        store.send(XsType.rm, encodeXsStrings(s.scratch), 7);
        store.send(XsType.read, encodeXsStrings(s.scratch), 8);
        const [written, read, removed, missing] = await store.take(4);
        expect(written).toMatchObject({ type: XsType.write, requestId: 0xffffffff });
        expect(read).toMatchObject({ type: XsType.read, requestId: 0 });
        expect(Buffer.from(read?.payload ?? [])).toEqual(value);
        expect(removed).toMatchObject({ type: XsType.rm, requestId: 7 });
        expect(missing).toMatchObject({ type: XsType.error, requestId: 8 });
        expect(textOf(missing)).toBe('ENOENT\0');
        await store.close();
      });

      test('takes relative paths as the domain itself', async () => {
        const store = new Conversation(await s.frontend.openXenStore());
        store.send(XsType.read, encodeXsStrings('domid'), 1);
        const [answer] = await store.take(1);
        expect(textOf(answer)).toBe(String(s.frontendDomid));
        await store.close();
      });

      test('fires a watch once when it is set, and again when another one commits a change', async () => {
        const store = new Conversation(await s.frontend.openXenStore());
        const other = new Conversation(await s.frontend.openXenStore());
        store.send(XsType.write, encodeXsWrite(s.scratch, '1'), 1);
        store.send(XsType.watch, encodeXsStrings(s.scratch, 'token'), 2);
        const first = await store.take(3);
        const types = first.map(({ type }) => type).sort((a, b) => a - b);
        expect(types).toEqual([XsType.watch, XsType.write, XsType.watchEvent]);

        other.send(XsType.transactionStart, new Uint8Array(1), 1);
        const [started] = await other.take(1);
        const transaction = Number.parseInt(textOf(started), 10);
        other.send(XsType.write, encodeXsWrite(`${s.scratch}/below`, '2'), 2, transaction);
        await other.take(1);
        await s.settle();
        expect(store.arrived).toBe(0);
        other.send(XsType.transactionEnd, encodeXsStrings('T'), 3, transaction);
        expect(await other.take(1)).toMatchObject([{ type: XsType.transactionEnd, requestId: 3 }]);
        const [event] = await store.take(1);
        expect(event?.type).toBe(XsType.watchEvent);
        expect(textOf(event)).toBe(`${s.scratch}/below\0token\0`);
        other.send(XsType.rm, encodeXsStrings(s.scratch), 4);
        await other.take(1);
        await store.take(1);
        await other.close();
        await store.close();
      });

      test('refuses to commit what another has changed meanwhile', async () => {
        const store = new Conversation(await s.frontend.openXenStore());
        const other = new Conversation(await s.frontend.openXenStore());
        store.send(XsType.transactionStart, new Uint8Array(1), 1);
        const [started] = await store.take(1);
        const transaction = Number.parseInt(textOf(started), 10);
        store.send(XsType.write, encodeXsWrite(s.scratch, 'mine'), 2, transaction);
        await store.take(1);
        other.send(XsType.write, encodeXsWrite(s.scratch, 'theirs'), 1);
        await other.take(1);
        store.send(XsType.transactionEnd, encodeXsStrings('T'), 3, transaction);
        store.send(XsType.read, encodeXsStrings(s.scratch), 4);
        expect((await store.take(2)).map(textOf)).toEqual(['EAGAIN\0', 'theirs']);
        store.send(XsType.rm, encodeXsStrings(s.scratch), 5);
        await store.take(1);
        await other.close();
        await store.close();
      });

      test('tells the owner of a connection that XenStore ends it, and gives him another one', async () => {
        if (s.loseXenStore === undefined) return; // one that lives as long as its machine
        const lost = await s.frontend.openXenStore();
        const told = new Promise<Error>((resolve) => lost.onClose(resolve));
        const store = new Conversation(lost);
        store.send(XsType.read, encodeXsStrings('domid'), 1);
        await store.take(1);
        s.loseXenStore();
        expect(await told).toMatchObject({ code: 'ERR_VSND_XENSTORE' });
        await store.close();
        const next = new Conversation(await s.frontend.openXenStore());
        next.send(XsType.read, encodeXsStrings('domid'), 1);
        expect(textOf((await next.take(1))[0])).toBe(String(s.frontendDomid));
        await next.close();
      });

      test('a closed connection sends nothing', async () => {
        const transport = await s.frontend.openXenStore();
        await transport.close();
        await transport.close();
        expect(() =>
          transport.send(encodeXsMessage(request(XsType.read, encodeXsStrings('domid'), 1))),
        ).toThrow();
      });
    });

    test('a device is claimed once, and again after its release', async () => {
      const claim = await s.frontend.claim('device/vsnd/0');
      await expect(s.frontend.claim('device/vsnd/0')).rejects.toMatchObject({
        code: 'ERR_VSND_CARD_BUSY',
        pid: expect.any(Number),
        message: expect.stringMatching(/\d/),
      });
      const other = await s.frontend.claim('device/vsnd/1');
      await claim.release();
      await claim.release();
      const again = await s.frontend.claim('device/vsnd/0');
      await again.release();
      await other.release();
    });

    test('the clock is monotonic, in nanoseconds', () => {
      const start = s.frontend.clock.now();
      expect(s.frontend.clock.now()).toBeGreaterThanOrEqual(start);
    });

    test('close() releases everything, may be repeated, and nothing can be had after it', async () => {
      const granted = await s.frontend.grants.grant(s.backendDomid, 2);
      const mapped = await s.backend.mapper.map(s.frontendDomid, granted.grefs);
      const port = await s.backend.eventChannels.bindUnbound(s.frontendDomid);
      port.onNotify(() => {});
      await s.backend.openXenStore();
      await s.backend.claim('device/vsnd/0');
      s.backend.unref();
      s.backend.ref();
      await s.backend.close();
      await s.backend.close();
      await expect(s.backend.openXenStore()).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
      await expect(s.backend.mapper.map(s.frontendDomid, granted.grefs)).rejects.toThrow();
      expect(await s.backend.eventChannels.forgetIfRestored()).toBe(false);
      expect(() => mapped.load32(0)).toThrow();
      await granted.release();
    });
  });
}

/** One connection's messages, taken in the order in which they come. */
class Conversation {
  readonly #transport: XenStoreTransport;
  readonly #messages: XsMessage[] = [];
  #wake: () => void = () => {};

  constructor(transport: XenStoreTransport) {
    const decoder = new XsMessageDecoder();
    this.#transport = transport;
    transport.onData((chunk) => {
      this.#messages.push(...decoder.push(chunk));
      this.#wake();
    });
  }

  get arrived(): number {
    return this.#messages.length;
  }

  send(type: number, payload: Uint8Array, requestId: number, transactionId = 0): void {
    this.#transport.send(encodeXsMessage({ type, requestId, transactionId, payload }));
  }

  async take(count: number): Promise<XsMessage[]> {
    while (this.#messages.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#messages.splice(0, count);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }
}

function request(type: number, payload: Uint8Array, requestId: number): XsMessage {
  return { type, requestId, transactionId: 0, payload };
}

function textOf(message: XsMessage | undefined): string {
  return Buffer.from(message?.payload ?? []).toString();
}

function thrown(action: () => void): VsndError | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return error as VsndError;
  }
}
