import { env, stdin } from 'node:process';
import { type CommandLine, UsageError } from './arguments.ts';
import { type CommandContext, defineCommand } from './command.ts';
import { errorMessage, oneLine } from './messages.ts';
import { PLAY_OPTIONS, type PlayOptions, parsePlayOptions } from './play/options.ts';
import { Playlist, STDIN } from './play/playlist.ts';
import { PlaySession } from './play/session.ts';
import { isSameFile } from './same-file.ts';
import { withCard } from './with-card.ts';

/** `vsnd play`: plays recordings, one after the other, and says how it went. */
export const play = defineCommand({
  name: 'play',
  summary: 'play recordings through a virtual sound card',
  operands: { usage: '[FILE...|-]', most: Number.POSITIVE_INFINITY, complete: 'files' },
  description: [
    `Plays recordings through this guest's virtual sound card, at the pace of the backend: WAV, AIFF, AU, FLAC, MP3,
    Ogg Vorbis and Ogg Opus, by their contents, and raw PCM; - is standard input. FILE may be a playlist (.m3u,
    .m3u8, .pls), or an address, http://... or https://..., of a recording, a station or a playlist. Between files
    there is no gap.`,
    `The card gets a file's frames bit for bit where it takes their format. Otherwise vsnd converts rate,
    channels and format as far as needed, and the first line says to what.`,
    `On a terminal there are keys: space pauses, left and right seek by 10 s, up and down (or + and -) set the
    volume, m mutes, n and p go to the next and to the previous file, q quits, ? shows them.`,
  ],
  options: PLAY_OPTIONS,
  examples: {
    'vsnd play --emulate': 'hear a voice, on any machine',
    'vsnd play side-a.flac side-b.flac': 'hear files one after the other, without a gap',
    'vsnd play - < song.ogg': 'play what comes in',
    'vsnd play https://example.org/radio.m3u': 'a station, until Ctrl-C',
    'vsnd play --loop --volume -6 album.m3u': 'a playlist, again and again, half as loud',
    'vsnd play -f cd track.raw': 'play raw PCM: 44100 Hz, 16 bits, stereo',
    'vsnd play --emulate --fast --sink wav:heard.wav song.wav': 'keep what the card has heard, at once',
    'vsnd play --card 1 --device 0 song.wav': 'in a guest with several cards',
  },
  run: playFiles,
});

/** An aborted `signal` stops at once, without an error. */
async function playFiles(line: CommandLine<typeof PLAY_OPTIONS>, context: CommandContext): Promise<boolean> {
  const { terminal, signal } = context;
  const options = parsePlayOptions(line);
  await checkFiles(options);
  const playlist = new Playlist({
    ...options,
    stdin,
    signal,
    onTitle: (title) => options.isQuiet || terminal.say(`title: ${oneLine(title)}`),
    onFailure: (error) => terminal.complain(errorMessage(error, env['VSND_DEBUG'] === '1')),
    onRemark: (remark) => terminal.complain(remark),
  });
  try {
    const first = await playlist.firstToPlay();
    if (first === undefined) return playlist.failures.size === 0;
    const summary = await withCard(options, context, async ({ card, guest }) => {
      const session = new PlaySession({ options, playlist, card, guest, terminal });
      await session.play(first, signal);
      return session.summary;
    });
    // Only now is the sink's file complete.
    if (summary) terminal.say(summary);
  } finally {
    await playlist.close();
  }
  return playlist.failures.size === 0;
}

/** What would end badly whatever the files hold. Rejects with {@link UsageError}. */
async function checkFiles({ files, emulation }: PlayOptions): Promise<void> {
  if (files.includes(STDIN) && stdin.isTTY) {
    throw new UsageError("'-' is standard input, and that is the terminal; allowed: a pipe or a file");
  }
  const sink = emulation?.sink;
  for (const file of files) {
    if (sink?.startsWith('wav:') && (await isSameFile(file, sink.slice(4)))) {
      throw new UsageError(`--sink is '${sink}', the file to be played; allowed: another one`);
    }
  }
}
