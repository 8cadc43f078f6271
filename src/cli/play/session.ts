import { stdin } from 'node:process';
import { type StreamPlace, streamsOf } from '../../config/card.ts';
import type { EmulatedGuest } from '../../emulation/guest.ts';
import { invalidArgError, VsndError } from '../../errors.ts';
import type { Card, PlaybackStream, StreamWarning } from '../../index.ts';
import { showProgress } from '../show-progress.ts';
import type { StreamProgress } from '../status-line.ts';
import type { Terminal } from '../terminal.ts';
import { press } from './controls.ts';
import { Keyboard } from './keyboard.ts';
import { Loudness } from './loudness.ts';
import type { PlayOptions } from './options.ts';
import { Player } from './player.ts';
import { type Playlist, STDIN } from './playlist.ts';
import { announceCard, announceFile, summarize, summaryJson, underruns } from './report.ts';
import type { Heard } from './timeline.ts';
import { Voice } from './voice.ts';

export interface PlaySessionParts {
  readonly options: PlayOptions;
  readonly playlist: Playlist;
  readonly card: Card;
  /** The emulated machine, if it is one. */
  readonly guest: EmulatedGuest | undefined;
  readonly terminal: Terminal;
}

/** A list that is played on a card: what the user sees of it, and the keys. */
export class PlaySession {
  readonly #parts: PlaySessionParts;
  readonly #voice: Voice;
  readonly #player: Player;
  readonly #loudness: Loudness;
  /** By the number of the recording, in the order in which they were heard first. */
  readonly #heard = new Map<number, Heard>();
  #announced: number | undefined;

  /** Throws ERR_VSND_INVALID_ARG for a device that does not play, ERR_VSND_NO_STREAM where none does. */
  constructor(parts: PlaySessionParts) {
    const { options, playlist, card, terminal } = parts;
    const { device, config: limits } = chooseDevice(card, options.device);
    this.#parts = parts;
    this.#voice = new Voice({
      card,
      device,
      limits,
      buffer: options.buffer,
      isMetered: terminal.live && !options.isQuiet,
      isVolumeSoftware: options.softwareVolume,
      onStream: (stream) => this.#attach(stream),
    });
    this.#player = new Player({
      voice: this.#voice,
      limits,
      playlist,
      rounds: options.rounds,
      onHeard: (heard) => this.#announce(heard),
    });
    this.#loudness = new Loudness(options.volume, () => {
      this.#voice.useSoftwareVolume();
      this.#player.restart();
    });
  }

  /** Resolves when the last frame has been heard, or at once when `signal` aborts or the user has had enough. */
  async play(first: number, signal: AbortSignal): Promise<void> {
    const { options, terminal } = this.#parts;
    const stop = () => this.#player.stop();
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const keyboard = this.#openKeyboard();
    const hide = options.isQuiet ? () => {} : showProgress(terminal, () => this.#progress);
    try {
      await this.#player.play(first);
    } finally {
      hide();
      keyboard?.close();
      signal.removeEventListener('abort', stop);
    }
  }

  /** How it went; undefined where there is nothing to say. */
  get summary(): string | undefined {
    const { options, guest, playlist } = this.#parts;
    const summary = {
      player: this.#player,
      voice: this.#voice,
      playlist,
      heard: this.#heard,
      guest,
      isPaced: this.#isPaced,
    };
    if (options.json) return summaryJson(summary);
    return options.isQuiet ? undefined : summarize(summary);
  }

  /** What has a clock of its own keeps time, --fast or not. */
  get #isPaced(): boolean {
    const { options, guest } = this.#parts;
    return !options.emulation?.fast || guest?.sink.hasOwnClock === true;
  }

  get #progress(): StreamProgress {
    const { stream, isPaused } = this.#voice;
    const { index = 0, frame = 0, source } = this.#player.heard ?? {};
    const { length } = this.#parts.playlist;
    const { latency = 0, bufferFrames = 0, rate = 1 } = stream ?? {};
    const notes = [length > 1 && `file ${index + 1}/${length}`, isPaused && 'paused', this.#loudness.text];
    return {
      elapsed: frame / (source?.rate ?? 1),
      total: source?.frames === undefined ? undefined : source.frames / source.rate,
      fill: latency / (bufferFrames || 1), // 0 before the backend has opened the stream
      latency: (latency / rate) * 1000,
      xruns: underruns({ voice: this.#voice, isPaced: this.#isPaced }),
      levels: this.#voice.levels,
      notes: notes.filter((note) => typeof note === 'string'),
    };
  }

  #attach(stream: PlaybackStream): void {
    const { terminal } = this.#parts;
    stream.on('warning', (warning: StreamWarning) => terminal.complain(`warning: ${warning.message}`));
    stream.on('position', () => void this.#player.heard); // announces what begins
    this.#loudness.attach(stream).catch((error: Error) => {
      if (!stream.destroyed) terminal.complain(`volume: ${error.message}`);
    });
  }

  #announce(heard: Heard): void {
    const { options, terminal, card, guest, playlist } = this.#parts;
    if (!this.#heard.has(heard.index)) this.#heard.set(heard.index, heard);
    if (options.isQuiet || heard.index === this.#announced) return;
    terminal.say(announceFile(heard, playlist.tagsOf(heard.source)));
    if (this.#announced === undefined) terminal.say(announceCard(card, guest));
    this.#announced = heard.index;
  }

  /** The keys, where somebody sits at a terminal and sees what they do. */
  #openKeyboard(): Keyboard | undefined {
    const { options, terminal } = this.#parts;
    if (!stdin.isTTY || !terminal.live || options.isQuiet || options.files.includes(STDIN)) return undefined;
    const controlled = { player: this.#player, voice: this.#voice, loudness: this.#loudness, terminal };
    let wasPaused = false;
    return new Keyboard(stdin, {
      onKey: (key) => void press(key, controlled),
      onSuspend: async () => {
        wasPaused = this.#voice.isPaused;
        await this.#voice.setPaused(true).catch(() => {});
        terminal.release();
      },
      onContinue: () => {
        if (!wasPaused) this.#voice.setPaused(false).catch(() => {});
      },
    });
  }
}

/** The PCM device with this number, or the first one that plays, and what it can be set to. */
function chooseDevice({ info }: Card, wanted: number | undefined): StreamPlace {
  const playing = streamsOf(info, { type: 'playback' });
  const chosen = playing.find(({ device }) => device === (wanted ?? device));
  if (chosen) return chosen;
  if (wanted === undefined)
    throw new VsndError('ERR_VSND_NO_STREAM', `card ${info.devid} has no stream that plays`);
  throw invalidArgError('device', wanted, [...new Set(playing.map(({ device }) => device))].join(', '));
}
