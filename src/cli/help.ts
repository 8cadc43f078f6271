import { readFileSync } from 'node:fs';
import { UsageError } from './arguments.ts';

const GENERAL = `vsnd: the Xen virtual sound card of a guest

Usage:
  vsnd play [FILE.wav] [options]   play a WAV file through a virtual sound card
  vsnd list [options]              list this guest's virtual sound cards
  vsnd help COMMAND                say more about a command
  vsnd --version                   print the version

Try it without Xen:
  vsnd play --emulate

Environment:
  VSND_EMULATE=1   the same as --emulate
  VSND_DEBUG=1     print where in vsnd an error comes from
  NO_COLOR=1       no colours

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted (Ctrl-C),
143 terminated.`;

const PLAY = `Usage: vsnd play [FILE.wav] [options]

Plays a WAV file through this guest's virtual sound card, at the pace of the
backend. WAV files hold PCM of 8, 16, 24 or 32 bits, float of 32 or 64 bits,
A-law or mu-law; vsnd list says which of these, and which rates, a card takes.

Options:
  --card N      the card with this number; without it, the first one
  --device N    the card's PCM device with this number; without it, the first
                one that plays
  --emulate     use an emulated Xen machine inside this process; without FILE,
                play a sound that comes with vsnd
  --sink SINK   where the emulated card's sound goes; without it, to the
                speaker if that is installed and opens, else to null
                  speaker   this machine's speakers, by the npm package speaker
                  wav:FILE  a WAV file: what the card heard, bit for bit
                  null      nowhere, at the pace of a real card
  --fast        let the emulated card run as fast as it can
  -h, --help    print this

Examples:
  vsnd play --emulate
  vsnd play --emulate song.wav
  vsnd play --emulate --fast --sink wav:heard.wav song.wav
  vsnd play --card 1 --device 0 song.wav`;

const LIST = `Usage: vsnd list [options]

Lists this guest's virtual sound cards, their PCM devices and streams, and what
each stream can be set to.

Options:
  --json       print JSON: an array of cards
  --emulate    list the card of an emulated Xen machine
  -h, --help   print this

Examples:
  vsnd list
  vsnd list --emulate --json`;

/** The help text of vsnd, or of one of its commands. Throws {@link UsageError} for another one. */
export function helpText(command: string | undefined): string {
  if (command === undefined || command === 'help') return GENERAL;
  if (command === 'play') return PLAY;
  if (command === 'list') return LIST;
  throw new UsageError(`unknown command '${command}'`);
}

/** The package's version. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
