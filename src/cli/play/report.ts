import type { FrameFormat } from '../../audio/audio-source.ts';
import type { Tags } from '../../audio/title-tags.ts';
import type { EmulatedGuest } from '../../emulation/guest.ts';
import type { Card } from '../../index.ts';
import { clockTime, describeChosen, describeFormat, errorMessage, oneLine } from '../messages.ts';
import { type Xruns, xrunCount } from '../status-line.ts';
import type { Player } from './player.ts';
import type { Playlist } from './playlist.ts';
import type { Heard } from './timeline.ts';
import type { Voice } from './voice.ts';

export interface Playing {
  readonly player: Player;
  readonly voice: Voice;
  readonly playlist: Playlist;
  /** What has been heard of each recording first, by its number. */
  readonly heard: ReadonlyMap<number, Heard>;
  /** The emulated machine, if it is one. */
  readonly guest: EmulatedGuest | undefined;
  /** Whether the card keeps time, so that underruns mean something. */
  readonly isPaced: boolean;
}

/** What is to be heard: its format, how long it is, and what it is converted to. */
export function announceFile({ source, target }: Heard, tags: Tags): string {
  const length = source.frames === undefined ? '' : `, ${clockTime(source.frames / source.rate)}`;
  return `playing ${source.name}${titleText(tags)}: ${describeFormat(source)}${length}${conversion(source, target)}`;
}

/** As in: , Tannhäuser by Richard Wagner. */
function titleText({ title, artist }: Tags): string {
  const by = artist === undefined ? '' : ` by ${oneLine(artist)}`;
  return title === undefined && artist === undefined ? '' : `, ${oneLine(title ?? 'something')}${by}`;
}

/** Where it is to be heard. */
export function announceCard(card: Card, guest: EmulatedGuest | undefined): string {
  const { devid, backendDomid } = card.info;
  const where = guest
    ? `${guest.hypervisor.description}, sink ${describeChosen(guest.sink, '--sink')}`
    : `this guest, through the backend in domain ${backendDomid}`;
  return `on card ${devid} of ${where}`;
}

export function underruns({ voice, isPaced }: Pick<Playing, 'voice' | 'isPaced'>): Xruns {
  const { underruns: count, estimatedUnderruns: estimated } = voice;
  return { name: 'underruns', ...(isPaced ? { count, estimated } : { count: undefined }) };
}

/** How it went, for a person; undefined where nothing could be played. */
export function summarize(playing: Playing): string | undefined {
  const { player, voice, guest, heard } = playing;
  if (heard.size === 0) return undefined;
  const played = [...heard].map(([index, first]) => describePlayed(first, player.frames.get(index) ?? 0));
  return [
    ...played,
    `positions reported by the backend: ${voice.positionReports}`,
    `underruns: ${xrunCount(underruns(playing))}`,
    `result: ${guest ? describeResult(guest) : 'played by the backend'}`,
  ].join('\n');
}

/** The same for a program. */
export function summaryJson(playing: Playing): string {
  const { player, voice, guest, playlist } = playing;
  const files = playlist.files.map((file, index) => {
    const { source, target } = playing.heard.get(index) ?? {};
    const failure = playlist.failures.get(index);
    return {
      file,
      kind: source?.kind,
      ...(source && playlist.tagsOf(source)),
      ...(source && formatOf(source)),
      frames: source?.frames,
      playedAs: target && formatOf(target),
      playedFrames: player.frames.get(index) ?? 0,
      error: failure && errorMessage(failure, false),
    };
  });
  const summary = {
    files,
    frames: voice.position,
    positionReports: voice.positionReports,
    underruns: underruns(playing).count ?? null,
    estimatedUnderruns: underruns(playing).estimated ?? null,
    sink: guest?.sink.description,
  };
  return JSON.stringify(summary, null, 2);
}

function describePlayed({ source, target }: Heard, frames: number): string {
  const all = source.frames === undefined ? frames : Math.round((source.frames * target.rate) / source.rate);
  const part = frames < all ? `${frames} of ${all}` : `${frames}`;
  const time = clockTime(frames / target.rate);
  return `played ${part} frames (${time}) of ${source.name}: ${describeFormat(source)}${conversion(source, target)}`;
}

function describeResult({ sink }: EmulatedGuest): string {
  return sink.kind === 'null' ? 'null clock: nothing was kept' : sink.description;
}

function conversion(source: FrameFormat, target: FrameFormat): string {
  const isSame = describeFormat(source) === describeFormat(target);
  return isSame ? '' : `, as ${describeFormat(target)}`;
}

function formatOf({ format, rate, channels }: FrameFormat): FrameFormat {
  return { format, rate, channels };
}
