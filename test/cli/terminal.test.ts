import { describe, expect, test } from 'vitest';
import { Terminal } from '../../src/cli/terminal.ts';

function terminal({ isTTY = true, columns = 100, env = {} as NodeJS.ProcessEnv } = {}) {
  const written: string[] = [];
  const stream = (name: string) => ({
    isTTY,
    columns,
    write: (text: string) => written.push(`${name}${text}`) > 0,
  });
  return { written, terminal: new Terminal(stream(''), stream('2>'), { TERM: 'xterm', ...env }) };
}

describe('the live line', () => {
  test('hides the cursor once, and gives it back once', () => {
    const { terminal: tty, written } = terminal();
    tty.paint('one');
    tty.paint('two');
    tty.release();
    tty.release();
    expect(written).toEqual(['\x1b[?25l\r\x1b[Kone', '\r\x1b[Ktwo', '\r\x1b[K\x1b[?25h']);
  });

  test('stays below what is said', () => {
    const { terminal: tty, written } = terminal();
    tty.paint('line');
    tty.say('news');
    tty.complain('trouble');
    expect(written.slice(1)).toEqual(['\r\x1b[K', 'news\n', 'line', '\r\x1b[K', '2>vsnd: trouble\n', 'line']);
  });

  test("may be several lines, which take each other's place", () => {
    const { terminal: tty, written } = terminal();
    tty.paint('one\ntwo\nthree');
    tty.paint('four\nfive');
    tty.say('news');
    tty.paint('six');
    tty.release();
    expect(written).toEqual([
      '\x1b[?25l\r\x1b[Kone\ntwo\nthree',
      '\x1b[2A\r\x1b[Jfour\nfive',
      '\x1b[1A\r\x1b[J',
      'news\n',
      'four\nfive',
      '\x1b[1A\r\x1b[Jsix',
      '\r\x1b[K\x1b[?25h',
    ]);
  });

  test('without one, nothing but the text is written', () => {
    const { terminal: pipe, written } = terminal({ isTTY: false });
    pipe.say('news');
    pipe.release();
    expect(pipe.live).toBe(false);
    expect(written).toEqual(['news\n']);
  });
});

test('control characters of names do not reach the terminal', () => {
  const { terminal: tty, written } = terminal();
  tty.say('a\x1b[2Jb\x9bc\r\nd');
  expect(written).toEqual(['a?[2Jb?c?\nd\n']);
});

test.each<[NodeJS.ProcessEnv, boolean, boolean, boolean]>([
  [{ LANG: 'C.UTF-8' }, true, true, true],
  [{ LANG: 'de_DE.utf8' }, true, true, true],
  [{ LANG: 'C.UTF-8', LC_ALL: 'C' }, true, true, false],
  [{}, true, true, false],
  [{ NO_COLOR: '1' }, true, false, false],
  [{ NO_COLOR: '' }, true, true, false],
  [{ TERM: 'dumb' }, false, false, false],
])('the environment %j', (env, live, color, unicode) => {
  const { terminal: tty } = terminal({ env });
  expect({ live: tty.live, ...tty.style }).toEqual({ live, color, unicode });
});

test('a terminal that does not know its width has 80 columns', () => {
  expect(terminal({ columns: 0 }).terminal.width).toBe(80);
  expect(terminal({ columns: 132 }).terminal.width).toBe(132);
});
