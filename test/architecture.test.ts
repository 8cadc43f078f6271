import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** A file of src/, by its path there, with the comments blanked out. */
interface Source {
  readonly path: string;
  readonly code: string;
}

/** Says what is wrong with a source, a line each: 'src/pcm/position.ts:3: ...'. */
type Rule = (source: Source) => string[];

/** From the foundation upwards: a file imports only from its own layer, and from those before it here. */
const LAYERS: readonly (readonly string[])[] = [
  ['errors.ts'],
  ['deferred.ts', 'release-stack.ts', 'clock.ts', 'repeater.ts', 'option-names.ts', 'child-program.ts'],
  ['wire/'],
  ['pcm/'],
  ['pulse/'],
  ['wav/'],
  ['audio/'],
  ['xen/'],
  ['xenstore/'],
  ['xenbus/'],
  ['config/'],
  ['frontend/'],
  ['control/'],
  ['backend/'],
  ['metrics/'],
  ['server/'],
  ['bridge/'],
  ['emulation/'],
  ['open-card.ts', 'create-bridge.ts', 'create-sound-server.ts', 'index.ts', 'audio.ts', 'testing.ts'],
  ['speaker/'],
  ['speaker.ts'],
  ['speaker-commonjs.ts'],
  ['cli/'],
];

/** Layers that must not know each other, in either direction. */
const STRANGERS: readonly (readonly [string, string])[] = [['frontend/', 'backend/']];

/** Who may know that a hypervisor is an emulated one; everybody else has xen/hypervisor.ts. */
const EMULATION = 'xen/emulated/';
const KNOW_THE_EMULATION = [EMULATION, 'emulation/', 'testing.ts'];

/** Take values and return values: no modules of Node's, no timers, nothing of the process or the machine. */
const PURE = [
  'errors.ts',
  'wire/',
  'pcm/',
  'pulse/',
  'xenbus/',
  'wav/header.ts',
  'wav/repack.ts',
  'config/fields.ts',
  'config/card.ts',
  'metrics/exposition.ts',
  'metrics/http.ts',
  'config/warnings.ts',
];
const IMPURE_NAMES =
  /\b(?:process|performance|console|globalThis|fetch|queueMicrotask|Date|WebSocket|Math\.random)\b/g;

/** Where time may pass by other means than a Clock. */
const MAY_SET_TIMERS = ['clock.ts', EMULATION, 'backend/', 'cli/'];
const TIMERS = /\b(?:setTimeout|setInterval|setImmediate)\b|['"](?:node:)?timers(?:\/promises)?['"]/g;

/** What stands in for npm `speaker` is imported as that is. */
const DEFAULT_EXPORTS = ['speaker.ts', 'speaker-commonjs.ts'];

/** Packages that are not Node's own, and who may ask for them. */
const PACKAGES: Readonly<Record<string, string>> = {
  speaker: 'backend/',
  '@toots/libsamplerate.js': 'audio/',
  '@wasm-audio-decoders/flac': 'audio/',
  '@wasm-audio-decoders/ogg-vorbis': 'audio/',
  'mpg123-decoder': 'audio/',
  'opus-decoder': 'audio/',
};

const isIn = (path: string, places: readonly string[]): boolean =>
  places.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place));

const layerOf = (path: string): number => LAYERS.findIndex((places) => isIn(path, places));

const nameOf = (layer: number): string => LAYERS[layer]?.join(', ') ?? 'no layer';

function lineOf(code: string, index: number): number {
  return code.slice(0, index).split('\n').length;
}

function complain({ path, code }: Source, index: number, what: string): string {
  return `src/${path}:${lineOf(code, index)}: ${what}`;
}

/** Blanks comments out, and leaves strings and line numbers as they are. */
function withoutComments(text: string): string {
  const tokens =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g;
  return text.replace(tokens, (token) => (/^\/[/*]/.test(token) ? token.replace(/[^\n]/g, ' ') : token));
}

/** Whatever the file names as a module, types and workers included. */
function importsOf({ code }: Source): { specifier: string; index: number }[] {
  const patterns = [
    /^(?:import|export)\b(?:[^;'"`]*?\bfrom)?\s*['"]([^'"]+)['"]/gm,
    /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g,
    /\bnew URL\(\s*['"](\.{1,2}\/[^'"]+\.[jt]s)['"]/g,
  ];
  const found = patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map(({ 0: whole, 1: specifier = '', index }) => ({
      specifier,
      index: index + whole.lastIndexOf(specifier),
    })),
  );
  return found.sort((a, b) => a.index - b.index);
}

/** The path below src/ that a relative specifier means. */
function targetOf({ path }: Source, specifier: string): string {
  return posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts');
}

/** A complaint for each match of `pattern`. */
function forbid(source: Source, pattern: RegExp, what: (match: string) => string): string[] {
  return [...source.code.matchAll(pattern)].map(({ 0: match, index }) =>
    complain(source, index, what(match.trim())),
  );
}

/** A complaint for each import of another file of src/ about which `judge` has something to say. */
function judgeImports(source: Source, judge: (target: string) => string | undefined): string[] {
  return importsOf(source)
    .filter(({ specifier }) => specifier.startsWith('.'))
    .flatMap(({ specifier, index }) => {
      const target = targetOf(source, specifier);
      const verdict = judge(target);
      return verdict === undefined ? [] : [complain(source, index, `imports ${target}: ${verdict}`)];
    });
}

const RULES: Readonly<Record<string, Rule>> = {
  'belongs to a layer': (source) =>
    layerOf(source.path) === -1 ? [complain(source, 0, 'belongs to no layer: give it one in this test')] : [],

  'imports only from layers below its own': (source) =>
    judgeImports(source, (target) => {
      const [own, other] = [layerOf(source.path), layerOf(target)];
      if (other === -1) return 'that is no file of src/';
      return other > own ? `the layer of ${nameOf(other)} is above that of ${nameOf(own)}` : undefined;
    }),

  'does not know its counterpart': (source) =>
    judgeImports(source, (target) => {
      const pair = STRANGERS.find(
        ([a, b]) =>
          (isIn(source.path, [a]) && isIn(target, [b])) || (isIn(source.path, [b]) && isIn(target, [a])),
      );
      return pair && `${pair.join(' and ')} must not know each other`;
    }),

  'knows hypervisors only by their interface': (source) =>
    judgeImports(source, (target) =>
      isIn(target, [EMULATION]) && !isIn(source.path, KNOW_THE_EMULATION)
        ? `only ${KNOW_THE_EMULATION.join(', ')} may know the emulation`
        : undefined,
    ),

  'imports files with their ending, and of packages only the known ones': (source) =>
    importsOf(source).flatMap(({ specifier, index }) => {
      if (specifier.startsWith('node:') || isIn(source.path, [PACKAGES[specifier] ?? 'nowhere'])) return [];
      if (/^\.{1,2}\/.*\.[jt]s$/.test(specifier)) return [];
      return [
        complain(
          source,
          index,
          `imports ${specifier}: neither a file with its ending nor a module of Node's`,
        ),
      ];
    }),

  'loads a package when it is first needed': (source) =>
    forbid(
      source,
      /^(?:import|export)\b(?! type\b)(?:[^;'"`]*?\bfrom)?\s*['"](?!\.|node:)[^'"]+['"]/gm,
      (statement) => `has '${statement}': import() it`,
    ),

  'is pure where it should be': (source) => {
    if (!isIn(source.path, PURE)) return [];
    const modules = importsOf(source)
      .filter(({ specifier }) => !specifier.startsWith('.'))
      .map(({ specifier, index }) => complain(source, index, `imports ${specifier}, and should be pure`));
    return [
      ...modules,
      ...judgeImports(source, (target) =>
        isIn(target, PURE) ? undefined : 'a pure file imports pure ones only',
      ),
      ...forbid(source, IMPURE_NAMES, (name) => `uses ${name}, and should be pure`),
      ...forbid(source, TIMERS, (name) => `mentions ${name}, and should be pure`),
    ];
  },

  'leaves timers to the clock': (source) =>
    isIn(source.path, MAY_SET_TIMERS)
      ? []
      : forbid(source, TIMERS, (name) => `mentions ${name}; only ${MAY_SET_TIMERS.join(', ')} may`),

  'has no default export': (source) =>
    isIn(source.path, DEFAULT_EXPORTS)
      ? []
      : forbid(source, /^export\s+default\b|\bas\s+default\b/gm, () => 'has a default export'),

  'keeps no state of its own': (source) => [
    ...forbid(source, /^(?:export\s+)?(?:let|var)\s+[\w$[{]+/gm, (what) => `has '${what}' at its top level`),
    ...forbid(
      source,
      /^(?:export\s+)?const\s+\w+[^=\n]*=\s*(?:new (?:Weak)?(?:Map|Set)\b(?:<[^\n]*>)?\(\)|\[\]|\{\});/gm,
      (what) => `has a collection to be filled at its top level: ${what}`,
    ),
  ],
};

const SRC = fileURLToPath(new URL('../src/', import.meta.url));

const sources: readonly Source[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'))
  .sort()
  .map((path) => ({ path, code: withoutComments(readFileSync(SRC + path, 'utf8')) }));

const within = (...places: string[]): Source[] => sources.filter(({ path }) => isIn(path, places));

describe('every file of src/', () => {
  it.each(Object.entries(RULES))('%s', (_, rule) => {
    expect(sources.flatMap(rule)).toEqual([]);
  });

  it('is looked at, with all of its imports', () => {
    expect(sources.length).toBeGreaterThan(60);
    for (const source of sources) {
      const statements = source.code.match(/(?:\bfrom|^import) '[^'\n]+';$/gm) ?? [];
      expect(importsOf(source).length, source.path).toBeGreaterThanOrEqual(statements.length);
    }
    const targets = new Set(sources.map(({ path }) => path));
    const missing = sources.flatMap((source) =>
      judgeImports(source, (target) => (targets.has(target) ? undefined : 'there is no such file')),
    );
    expect(missing).toEqual([]);
  });

  it.each([...LAYERS.flat(), ...PURE, ...KNOW_THE_EMULATION, ...MAY_SET_TIMERS])(
    'can be in %s: the lists of this test name what there is',
    (place) => {
      expect(within(place)).not.toEqual([]);
    },
  );
});

describe('a position moves only by what the backend reports', () => {
  it('because neither the frontend nor pcm/ can wait for anything but a Clock', () => {
    const waiting = within('frontend/', 'pcm/').flatMap((source) => forbid(source, TIMERS, (name) => name));
    expect(waiting).toEqual([]);
  });

  it('because no Clock is in reach of pcm/', () => {
    const clocks = within('pcm/').flatMap((source) =>
      judgeImports(source, (target) => (target === 'clock.ts' ? 'a clock' : undefined)),
    );
    expect(clocks).toEqual([]);
  });
});

describe('a violation', () => {
  /** What the rules say of a file, the same thing once. */
  function judge(path: string, text: string): string[] {
    const source = { path, code: withoutComments(text) };
    return Object.values(RULES).flatMap((rule) => rule(source));
  }

  it.each([
    ['pcm/x.ts', "import { a } from '../errors.ts';\nimport type { B } from '../wire/sndif.ts';\n"],
    [
      'backend/x.ts',
      "import type Speaker from 'speaker';\nimport { open } from 'node:fs';\n" +
        "await import('speaker');\nsetTimeout(f);\n",
    ],
    [
      'frontend/x.ts',
      "// setTimeout, export default, let x\n/*\nlet y;\nimport 'z';\n*/\nconst s = '// no';\n",
    ],
    ['xen/emulated/x.ts', "import './machine.ts';\nsetImmediate(f);\n"],
    ['wire/x.ts', "export const NAMES: readonly string[] = ['a'];\nfor (;;) {\n  let inner = 1;\n}\n"],
  ])('is none in %s: %j', (path, text) => {
    expect(judge(path, text)).toEqual([]);
  });

  it.each<[path: string, text: string, ...complaints: string[]]>([
    [
      'pcm/x.ts',
      "import { a } from '../errors.ts';\nimport {\n  b,\n} from '../config/card.ts';\n",
      'src/pcm/x.ts:4: imports config/card.ts: the layer of config/ is above that of pcm/',
    ],
    [
      'wire/x.ts',
      "export type { Clock } from '../clock.ts';\n",
      'src/wire/x.ts:1: imports clock.ts: a pure file imports pure ones only',
    ],
    [
      'backend/x.ts',
      "\nimport type { Card } from '../frontend/card.ts';\n",
      'src/backend/x.ts:2: imports frontend/card.ts: frontend/ and backend/ must not know each other',
    ],
    [
      'frontend/x.ts',
      "const { Backend } = await import('../backend/backend.ts');\n",
      'src/frontend/x.ts:1: imports backend/backend.ts: the layer of backend/ is above that of frontend/',
      'src/frontend/x.ts:1: imports backend/backend.ts: frontend/ and backend/ must not know each other',
    ],
    [
      'xenstore/x.ts',
      "import { EmulatedMachine } from '../xen/emulated/machine.ts';\n",
      'src/xenstore/x.ts:1: imports xen/emulated/machine.ts: ' +
        'only xen/emulated/, emulation/, testing.ts may know the emulation',
    ],
    [
      'xen/x.ts',
      "new Worker(new URL('../emulation/backend-worker.js', import.meta.url));\n",
      'src/xen/x.ts:1: imports emulation/backend-worker.ts: the layer of emulation/ is above that of xen/',
    ],
    ['sound/x.ts', 'export {};\n', 'src/sound/x.ts:1: belongs to no layer: give it one in this test'],
    [
      'config/fields.ts',
      "import { readFileSync } from 'node:fs';\nprocess.exit();\n",
      'src/config/fields.ts:1: imports node:fs, and should be pure',
      'src/config/fields.ts:2: uses process, and should be pure',
    ],
    [
      'frontend/x.ts',
      "import { setTimeout as w } from 'node:timers/promises';\n/*\n*/ setInterval(f, 10); // setTimeout\n",
      'src/frontend/x.ts:1: mentions setTimeout; only clock.ts, xen/emulated/, backend/, cli/ may',
      "src/frontend/x.ts:1: mentions 'node:timers/promises'; " +
        'only clock.ts, xen/emulated/, backend/, cli/ may',
      'src/frontend/x.ts:3: mentions setInterval; only clock.ts, xen/emulated/, backend/, cli/ may',
    ],
    [
      'pcm/x.ts',
      'globalThis.setImmediate(f);\n',
      'src/pcm/x.ts:1: uses globalThis, and should be pure',
      'src/pcm/x.ts:1: mentions setImmediate, and should be pure',
      'src/pcm/x.ts:1: mentions setImmediate; only clock.ts, xen/emulated/, backend/, cli/ may',
    ],
    [
      'cli/x.ts',
      "import { parse } from '../index';\nimport 'speaker';\n",
      'src/cli/x.ts:1: imports index: that is no file of src/',
      "src/cli/x.ts:1: imports ../index: neither a file with its ending nor a module of Node's",
      "src/cli/x.ts:2: imports speaker: neither a file with its ending nor a module of Node's",
      "src/cli/x.ts:2: has 'import 'speaker'': import() it",
    ],
    [
      'audio/x.ts',
      "import { MPEGDecoder } from 'mpg123-decoder';\n",
      "src/audio/x.ts:1: has 'import { MPEGDecoder } from 'mpg123-decoder'': import() it",
    ],
    [
      'cli/x.ts',
      'export default 1;\nexport { a as default };\n',
      'src/cli/x.ts:1: has a default export',
      'src/cli/x.ts:2: has a default export',
    ],
    [
      'cli/x.ts',
      'let count = 0;\nexport var total = 0;\nconst seen = new Set<string>();\nconst all: string[] = [];\n',
      "src/cli/x.ts:1: has 'let count' at its top level",
      "src/cli/x.ts:2: has 'export var total' at its top level",
      'src/cli/x.ts:3: has a collection to be filled at its top level: const seen = new Set<string>();',
      'src/cli/x.ts:4: has a collection to be filled at its top level: const all: string[] = [];',
    ],
  ])('in %s is found: %j', (path, text, ...complaints) => {
    expect(judge(path, text)).toEqual(complaints);
  });
});
