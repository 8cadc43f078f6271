import { once } from 'node:events';
import { endianness } from 'node:os';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type SpeakerClass from '../../src/speaker.ts';

// What the test file of npm speaker 0.5.5 expects, under its own names, on the card of the emulated machine whose
// thread needs the compiled files.
const { default: Speaker } = (await import(new URL('../../dist/speaker.js', import.meta.url).href)) as {
  default: typeof SpeakerClass;
};

const opposite = endianness() === 'LE' ? 'BE' : 'LE';

beforeEach(() => void vi.stubEnv('VSND_EMULATE', '1'));
afterEach(() => void vi.unstubAllEnvs());

describe('exports', () => {
  test('should export a Function', () => {
    expect(typeof Speaker).toBe('function');
  });

  test.each([
    ['api_version', 'number'],
    ['description', 'string'],
    ['module_name', 'string'],
  ] as const)('should have a "%s" property', (name, type) => {
    expect(Object.hasOwn(Speaker, name)).toBe(true);
    expect(typeof Speaker[name]).toBe(type);
  });
});

describe('Speaker', () => {
  test('should return a Speaker instance', () => {
    expect(new Speaker()).toBeInstanceOf(Speaker);
  });

  test('should be a writable stream', () => {
    const speaker = new Speaker();
    expect(speaker.writable).toBe(true);
    expect(speaker).not.toHaveProperty('readable', true);
  });

  test('should emit an "open" event after the first write()', async () => {
    const speaker = new Speaker();
    const opened = once(speaker, 'open');
    speaker.write(Buffer.alloc(0));
    await opened;
    speaker.end();
    await once(speaker, 'close');
  });

  test('should emit a "flush" event after end()', async () => {
    const speaker = new Speaker();
    const flushed = once(speaker, 'flush');
    speaker.end(Buffer.alloc(0));
    await flushed;
  });

  test('should emit a "close" event after end()', async () => {
    const speaker = new Speaker();
    const closed = once(speaker, 'close');
    speaker.end(Buffer.alloc(0));
    await closed;
  });

  test('should only emit one "close" event', async () => {
    const speaker = new Speaker();
    let count = 0;
    speaker.on('close', () => count++);
    speaker.close();
    expect(count).toBe(1);
    speaker.close();
    expect(count).toBe(1);
    await new Promise((resolve) => setImmediate(resolve)); // beyond upstream: nor later, as speaker does
    expect(count).toBe(1);
  });

  test('should accept a device option', async () => {
    const speaker = new Speaker({ device: 'test' });
    expect(speaker.device).toBe('test');
    const closed = once(speaker, 'close');
    speaker.end(Buffer.alloc(0));
    await closed;
  });

  test('should not throw an Error if native "endianness" is specified', () => {
    expect(() => new Speaker({ endianness: endianness() })).not.toThrow();
  });

  test('should throw an Error if non-native "endianness" is specified', () => {
    expect(() => new Speaker({ endianness: opposite })).toThrow(Error);
  });

  test('should throw an Error if a non-supported "format" is specified', async () => {
    const speaker = new Speaker({ bitDepth: 31, signed: true });
    const failed = once(speaker, 'error');
    speaker.write('a');
    const [error] = await failed;
    expect(error.message).toBe('invalid PCM format specified');
  });
});
