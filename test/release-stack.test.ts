import { describe, expect, it } from 'vitest';
import { deferred } from '../src/deferred.ts';
import { ReleaseStack } from '../src/release-stack.ts';

describe('a release stack', () => {
  it('undoes the last acquisition first, each when the one after it has been undone', async () => {
    const stack = new ReleaseStack();
    const log: string[] = [];
    stack.push(() => void log.push('first'));
    stack.push(async () => {
      log.push('second begins');
      await new Promise((resolve) => setImmediate(resolve));
      log.push('second ends');
    });
    stack.push(() => void log.push('third'));
    expect(log).toEqual([]);
    await stack.releaseAll();
    expect(log).toEqual(['third', 'second begins', 'second ends', 'first']);
  });

  it('undoes everything once, however often it is asked', async () => {
    const stack = new ReleaseStack();
    let count = 0;
    stack.push(() => void count++);
    await stack.releaseAll();
    await stack.releaseAll();
    expect(count).toBe(1);
    stack.push(() => void count++);
    await stack.releaseAll();
    expect(count).toBe(2);
    await new ReleaseStack().releaseAll();
  });

  it('goes on after failures, thrown or rejected, and then throws the first of them', async () => {
    const stack = new ReleaseStack();
    const log: string[] = [];
    stack.push(() => void log.push('first'));
    stack.push(() => Promise.reject(new Error('the second failure')));
    stack.push(() => void log.push('third'));
    stack.push(() => {
      throw new Error('the first failure');
    });
    await expect(stack.releaseAll()).rejects.toThrow('the first failure');
    expect(log).toEqual(['third', 'first']);
    await stack.releaseAll();
  });

  it('throws a failure that is undefined too', async () => {
    const stack = new ReleaseStack();
    stack.push(() => Promise.reject(undefined));
    await expect(stack.releaseAll()).rejects.toBeUndefined();
  });

  it('keeps the order when it is asked twice at once, and both wait until all is undone', async () => {
    const stack = new ReleaseStack();
    const log: string[] = [];
    const slow = deferred();
    stack.push(() => void log.push('first'));
    stack.push(async () => {
      await slow.promise;
      log.push('second');
    });
    const calls = [stack.releaseAll(), stack.releaseAll()].map(async (call, index) => {
      await call;
      log.push(`call ${index}`);
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(log).toEqual([]);
    slow.resolve();
    await Promise.all(calls);
    expect(log).toEqual(['second', 'first', 'call 0', 'call 1']);
  });

  it('tells a failure to the call that met it, and does not fail the next one with it', async () => {
    const stack = new ReleaseStack();
    stack.push(() => Promise.reject(new Error('failed')));
    const [first, second] = [stack.releaseAll(), stack.releaseAll()];
    await expect(first).rejects.toThrow('failed');
    await expect(second).resolves.toBeUndefined();
  });

  it('undoes what is acquired while it undoes', async () => {
    const stack = new ReleaseStack();
    const log: string[] = [];
    stack.push(() => void log.push('first'));
    stack.push(() => {
      log.push('second');
      stack.push(() => void log.push('late'));
    });
    await stack.releaseAll();
    expect(log).toEqual(['second', 'late', 'first']);
  });

  it('gives one acquisition back alone, once, and says what is left', async () => {
    const stack = new ReleaseStack();
    const log: string[] = [];
    const first = stack.push(
      () => void log.push('first'),
      () => ['a file', 'a lock'],
    );
    const second = stack.push(() => void log.push('second'));
    expect(stack.held).toEqual([second, first]);
    const ending = second.end();
    expect([second.active, first.active]).toEqual([false, true]);
    await Promise.all([ending, second.end()]);
    expect(stack.held.flatMap(({ describe }) => describe())).toEqual(['a file', 'a lock']);
    await stack.releaseAll();
    expect(log).toEqual(['second', 'first']);
    expect(first.active).toBe(false);
  });

  it('leaves no moment between acquisitions that take no time to give back', () => {
    const stack = new ReleaseStack();
    const log: string[] = [];
    for (const name of ['first', 'second', 'third']) stack.push(() => void log.push(name));
    void stack.releaseAll();
    expect(log).toEqual(['third', 'second', 'first']);
  });
});
