/** Programs that play a file of 48 kHz, 16 bits, stereo: of Debian 12, without a configuration. */

export interface PlayingProgram {
  readonly name: string;
  readonly command: (wav: string, raw: string) => string[];
  readonly env?: NodeJS.ProcessEnv;
  /** It is another user's. */
  readonly isStrange?: true;
  /** s: it ends without waiting for so much of what it has sent, with PulseAudio itself as well. */
  readonly cut?: number;
}

const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le'];

/** A user to whom nothing belongs. */
export const AS_NOBODY =
  process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];

export const PLAYING: readonly PlayingProgram[] = [
  { name: 'paplay', command: (wav) => ['paplay', wav] },
  { name: 'pacat', command: (_, raw) => ['pacat', ...RAW, raw] },
  { name: 'pacat, 20 ms', command: (_, raw) => ['pacat', ...RAW, '--latency-msec=20', raw] },
  {
    name: 'ffmpeg',
    command: (wav) => ['ffmpeg', '-nostdin', '-re', '-i', wav, '-f', 'pulse', 'sound'],
    cut: 2.1,
  },
  { name: 'mpv', command: (wav) => ['mpv', '--no-config', '--no-video', '--ao=pulse', wav] },
  {
    name: 'VLC', // does not run as root
    isStrange: true,
    command: (wav) => [
      ...AS_NOBODY,
      'vlc',
      '-I',
      'dummy',
      '--no-video',
      '--aout=pulse',
      '--play-and-exit',
      wav,
    ],
  },
  {
    name: 'gst-launch',
    command: (wav) => ['gst-launch-1.0', 'filesrc', `location=${wav}`, '!', 'wavparse', '!', 'pulsesink'],
  },
  { name: 'aplay', command: (wav) => ['aplay', wav] },
  { name: 'sox', command: (wav) => ['sox', '-q', wav, '-t', 'pulseaudio'] },
  {
    name: 'ffplay (SDL)',
    command: (wav) => ['ffplay', '-nodisp', '-autoexit', '-loglevel', 'error', wav],
    env: { SDL_AUDIODRIVER: 'pulse' },
    cut: 0.1,
  },
];
