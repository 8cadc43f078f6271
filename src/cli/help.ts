import { readFileSync } from 'node:fs';
import { UsageError } from './arguments.ts';

const GENERAL = `vsnd: the Xen virtual sound card of a guest

Usage:
  vsnd play [FILE.wav] [options]   play a WAV file through a virtual sound card
  vsnd list [options]              list this guest's virtual sound cards
  vsnd backend [options]           serve the sound cards of guests, in Dom0 or a
                                   driver domain
  vsnd help COMMAND                say more about a command
  vsnd --version                   print the version

Try it without Xen:
  vsnd play --emulate

Environment:
  VSND_EMULATE=1   the same as --emulate
  VSND_DEBUG=1     print where in vsnd an error comes from
  NO_COLOR=1       no colours

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted (Ctrl-C),
143 terminated (vsnd backend: 0, it is the way to end it).`;

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

const BACKEND = `Usage: vsnd backend [options]

Serves the virtual sound cards (vsnd) that the toolstack gives to guests, until
it is ended (SIGTERM, Ctrl-C). Runs in Dom0, or in the domain that backend= in
the guests' configurations names. Prints a line for each thing that happens.

Options:
  --sink SINK     where streams go that no --map fits; without it, to the device
                  that a stream's unique-id names (alsa, pulse), else to null
  --map ID=SINK   where streams go whose unique-id is ID; a * in ID stands for
                  any characters; of several --map the first that fits counts
  --json          print a JSON object a line
  -h, --help      print this

Sinks:
  null            nowhere, at the pace of a real card
  speaker         this machine's speakers, by the npm package speaker
  wav:FILE        a WAV file for each OPEN of a stream: FILE, then FILE with -2,
                  -3; may have {domid} {devid} {pcm} {stream} {id}
  exec:COMMAND    a program that plays its standard input, run by sh; may have
                  {rate} {channels} {format} {pulse-format} {pw-format} {domid}
                  {devid} {pcm} {stream}, or $VSND_RATE and so on
  alsa            aplay; alsa<hw:0;0> for the device hw:0,0
  pulse           pacat; pulse<SINK>, or pulse<SINK>media.role:music

Examples:
  vsnd backend
  vsnd backend --sink 'wav:/var/tmp/{domid}-{devid}-{pcm}-{stream}.wav'
  vsnd backend --map 'radio*=null' --sink 'alsa<hw:0;0>'
  vsnd backend --sink 'exec:aplay -q -t raw -r {rate} -c {channels} -f {format}'`;

/** The help text of vsnd, or of one of its commands. Throws {@link UsageError} for another one. */
export function helpText(command: string | undefined): string {
  if (command === undefined || command === 'help') return GENERAL;
  if (command === 'play') return PLAY;
  if (command === 'list') return LIST;
  if (command === 'backend') return BACKEND;
  throw new UsageError(`unknown command '${command}'`);
}

/** The package's version. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
