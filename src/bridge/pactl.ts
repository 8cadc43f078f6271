import { followProgram, runProgram } from './program.ts';

/** A module of the server's, as `pactl list short modules` tells of it. */
export interface PulseModule {
  readonly index: string;
  readonly name: string;
  /** The values of its arguments, by their names. */
  readonly arguments: ReadonlyMap<string, string>;
}

/** What is behind the socket: PulseAudio itself, or PipeWire's imitation of it. */
export interface PulseInfo {
  /** 'pulseaudio', or 'PulseAudio (on PipeWire 1.4.2)' */
  readonly name: string;
  readonly version: string;
}

/** Rejects with ERR_VSND_SOUND_SERVER, as everything here does. */
export async function serverInfo(): Promise<PulseInfo> {
  const text = await runProgram('pactl', ['-f', 'json', 'info']);
  const { server_name: name = '', server_version: version = '' } = JSON.parse(text) as Record<string, string>;
  return { name, version };
}

export async function listModules(): Promise<PulseModule[]> {
  return parseModules(await runProgram('pactl', ['list', 'short', 'modules']));
}

/** The state of each sink or source ('RUNNING', 'IDLE', 'SUSPENDED'), by its name. */
export async function listStates(kind: 'sinks' | 'sources'): Promise<Map<string, string>> {
  return parseStates(await runProgram('pactl', ['list', 'short', kind]));
}

/** Gives the module's index. */
export async function loadModule(name: string, args: Readonly<Record<string, string>>): Promise<string> {
  const words = Object.entries(args).map(([key, value]) => `${key}=${quote(value)}`);
  return (await runProgram('pactl', ['load-module', name, ...words])).trim();
}

export async function unloadModule(index: string): Promise<void> {
  await runProgram('pactl', ['unload-module', index]);
}

/** Calls `onEvent` for each change of a sink or source, and `onEnd` when the server has gone; returns what ends both. */
export function subscribe(onEvent: () => void, onEnd: (reason: string) => void): () => void {
  let rest = '';
  const onText = (text: string): void => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (lines.some((line) => /^Event '\w+' on (?:sink|source) #/.test(line))) onEvent();
  };
  return followProgram('pactl', ['subscribe'], 'the sound server has closed the connection', onText, onEnd);
}

/** Exported for its test. A line each; what is not a module's first line belongs to the arguments of the one before. */
export function parseModules(text: string): PulseModule[] {
  return text
    .split('\n')
    .map((line) => /^(\d+)\t([^\t]+)\t?(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, index = '', name = '', args = '']) => ({ index, name, arguments: parseArguments(args) }));
}

/** Exported for its test. */
export function parseStates(text: string): Map<string, string> {
  const rows = text.split('\n').map((line) => line.split('\t'));
  return new Map(rows.filter((row) => row.length >= 5).map((row) => [row[1] ?? '', row[4] ?? '']));
}

/** `key=value key='another value' key="a third one"`, with backslashes. */
function parseArguments(text: string): Map<string, string> {
  const found = text.matchAll(/([\w.-]+)=(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"|(\S*))/g);
  return new Map(
    [...found].map(([, key = '', single, double, bare]) => [
      key,
      (single ?? double ?? bare ?? '').replace(/\\(.)/g, '$1'),
    ]),
  );
}

function quote(value: string): string {
  return /^[\w./,:+-]+$/.test(value) ? value : `'${value.replace(/['\\]/g, '\\$&')}'`;
}
