import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createSoundServer } from 'vsnd';
import { FORMAT, SILENT } from './sound.js';

/**
 * Voices of other programs, on a PCM device of their own: they play through PulseAudio's protocol, to a sound server that
 * this program has on its card, and say what they are by `media.role`. The music is ducked while one of them plays.
 */
export class ProgramPrompt {
  #server;
  #sink;
  #recording;
  #isSpeaking = false;

  /** `recording`: what the button plays, by paplay. `device` is that of every program, whatever its role. */
  static async offer(card, device, path, { recording, music }) {
    const roles = { navigation: device };
    const server = await createSoundServer(card, { path, device, roles, source: false, ...FORMAT });
    return new ProgramPrompt(server, recording, music);
  }

  constructor(server, recording, music) {
    this.#server = server;
    this.#sink = server.sinks[0].name; // the default one is the first
    this.#recording = recording;
    server.on('streams', () => {
      this.#isSpeaking = this.#streams.some(({ corked }) => !corked);
      music.setDucked(this.#isSpeaking);
    });
  }

  /** What PULSE_SERVER is for programs. */
  get address() {
    return this.#server.address;
  }

  /** undefined before somebody has spoken, and soon after. */
  get stream() {
    const { active, frames, rate, latency } = this.#target;
    if (!active) return undefined;
    return { state: 'running', rate, clock: { frames }, latency: (latency / 1000) * rate };
  }

  get underruns() {
    return this.#target.xruns;
  }

  get isSpeaking() {
    return this.#isSpeaking;
  }

  /** What programs play is between them and the card. */
  get peaks() {
    return SILENT;
  }

  /** Resolves when the last word has been heard. */
  async speak() {
    const args = ['--property=media.role=navigation', this.#recording];
    const player = spawn('paplay', args, {
      env: { ...process.env, PULSE_SERVER: this.address },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const [status] = await once(player, 'close');
    if (status !== 0) throw new Error(`paplay has ended with ${status}`);
  }

  close() {
    return this.#server.close();
  }

  get #target() {
    return this.#server.sinks.find(({ name }) => name === this.#sink);
  }

  get #streams() {
    return this.#server.clients
      .flatMap(({ streams }) => streams)
      .filter(({ target }) => target === this.#sink);
  }
}
