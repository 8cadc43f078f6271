import { inspect } from 'node:util';
import { isVsndError } from '../errors.ts';
import { UsageError } from './arguments.ts';

/** Seconds as a person reads them: 0:04.5, 1:02:03.4. */
export function clockTime(seconds: number, digits: 0 | 1 = 1): string {
  // Down, never up to 0:60; the small term undoes what binary fractions take off.
  const tenths = Math.floor(seconds * 10 + 1e-6);
  const whole = Math.floor(tenths / 10);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const pad = (value: number) => String(value).padStart(2, '0');
  const text = `${hours > 0 ? `${hours}:${pad(minutes)}` : minutes}:${pad(whole % 60)}`;
  return digits === 0 ? text : `${text}.${tenths % 10}`;
}

/** A format as a person reads it: s16_le, 44100 Hz, 2 channels. */
export function describeFormat({
  format,
  rate,
  channels,
}: {
  format: string;
  rate: number;
  channels: number;
}): string {
  return `${format}, ${rate} Hz, ${channels} ${channels === 1 ? 'channel' : 'channels'}`;
}

/** A sink or a source, and how to have another one where nobody has named it. */
export function describeChosen(
  { description, isChosen }: { description: string; isChosen: boolean },
  option: string,
): string {
  return isChosen ? `${description} (${option} chooses another)` : description;
}

/** Control characters, which a file name or a XenStore value may contain, would reach the terminal. */
export function withoutControls(text: string): string {
  return text.replace(/(?!\n)\p{Cc}/gu, '?');
}

/** Characters of a name that is shown: a toolstack, or a guest, may write thousands. */
const LONGEST_NAME = 80;

/** Somebody else's text as a part of one line: without what commands a terminal, or breaks or turns the line. */
export function inLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
}

/** As {@link inLine}, and not longer than a line. */
export function oneLine(text: string): string {
  const shown = inLine(text);
  return shown.length > LONGEST_NAME ? `${shown.slice(0, LONGEST_NAME)}…` : shown;
}

/** What to tell the user about an error of a command: never a stack, unless `debug`. */
export function errorMessage(error: unknown, debug: boolean, command?: string): string {
  if (debug) return inspect(error);
  if (!(error instanceof Error)) return String(error);
  if (error instanceof UsageError) {
    return `${error.message}; see vsnd ${command === undefined ? '' : `${command} `}--help`;
  }
  const expected = isVsndError(error) || 'syscall' in error || error.name === 'AbortError';
  return expected ? error.message : `internal error: ${error.message} (VSND_DEBUG=1 shows where)`;
}

/** What other recordings' names end in. */
const OTHER_KINDS = /\.(flac|mp3|ogg|oga|opus|aiff?|aifc|au|snd|m4a|aac|wma|raw|pcm)$/i;

/** A warning about a WAV file with another kind's name; undefined for all other names. */
export function misnamedWav(file: string): string | undefined {
  return OTHER_KINDS.test(file) ? `warning: ${file} will be a WAV file, whatever its name says` : undefined;
}
