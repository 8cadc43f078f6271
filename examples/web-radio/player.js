import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { chooseTarget, createFrameConverter } from 'vsnd/audio';

/** Plays one recording after the other, with so many seconds in reserve that its source may pause for a while. */
export class Player {
  #card;
  #bufferSeconds;
  #volume;
  #signal;
  #onBuffering;
  #onError;
  #out;
  #reserve;
  #isPlaying = false;

  /**
   * `signal` ends whatever is under way. `onBuffering` hears when the sound waits for the reserve, and when it goes on,
   * `onError` why the card plays no more.
   */
  constructor(card, { bufferSeconds, volume, signal, onBuffering, onError }) {
    this.#card = card;
    this.#bufferSeconds = bufferSeconds;
    this.#volume = volume;
    this.#signal = signal;
    this.#onBuffering = onBuffering;
    this.#onError = onError;
  }

  /** dB; it is heard a buffer's time later. */
  get volume() {
    return this.#volume;
  }

  set volume(volume) {
    this.#volume = volume;
    this.#out?.setVolume(volume);
  }

  /** Resolves when all of the recording is in reserve, or has been played. The first one sets the card's format. */
  async play(source) {
    if (this.#out === undefined) this.#open(source);
    const converter = await createFrameConverter(source, this.#out);
    try {
      for await (const frames of source.read()) await this.#write(converter.convert(frames));
      await this.#write(converter.end());
    } finally {
      converter.close();
    }
  }

  /** Resolves when the last frame has been played. */
  async end() {
    this.#setPlaying(true);
    this.#reserve.end();
    await finished(this.#out, { signal: this.#signal });
  }

  #open(source) {
    const [pcmDevice] = this.#card.info.pcmDevices;
    const stream = pcmDevice.streams.find(({ type }) => type === 'playback');
    const format = chooseTarget(source, stream);
    this.#out = this.#card.createPlaybackStream({ ...format, softwareVolume: true, signal: this.#signal });
    this.#out.setVolume(this.#volume);
    const secondBytes = this.#out.rate * this.#out.frameBytes;
    this.#reserve = new PassThrough({ readableHighWaterMark: this.#bufferSeconds * secondBytes });
    this.#out.on('error', this.#onError);
    this.#out.on('underrun', () => {
      if (!this.#isReserveFull) this.#setPlaying(false);
    });
  }

  get #isReserveFull() {
    return this.#reserve.readableLength >= this.#reserve.readableHighWaterMark;
  }

  async #write(frames) {
    if (frames.length === 0) return;
    const hasRoom = this.#reserve.write(frames);
    if (this.#isReserveFull) this.#setPlaying(true);
    if (!hasRoom) await once(this.#reserve, 'drain', { signal: this.#signal });
  }

  #setPlaying(isPlaying) {
    if (isPlaying === this.#isPlaying) return;
    this.#isPlaying = isPlaying;
    this.#onBuffering(!isPlaying);
    if (isPlaying) this.#reserve.pipe(this.#out);
    else this.#reserve.unpipe(this.#out);
  }
}
