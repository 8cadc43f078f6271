import { readFileSync } from 'node:fs';
import { UsageError } from './arguments.ts';

const GENERAL = `vsnd: the Xen virtual sound card of a guest

Usage:
  vsnd play [FILE.wav] [options]   play a WAV file through a virtual sound card
  vsnd record FILE.wav [options]   record from a virtual sound card
  vsnd volume [DB] [options]       show or set the volume of running streams
  vsnd monitor [options]           show what running streams do
  vsnd list [options]              list this guest's virtual sound cards
  vsnd backend [options]           serve the sound cards of guests, in Dom0 or a
                                   driver domain
  vsnd doctor [options]            say what keeps sound from playing here
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

const RECORD = `Usage: vsnd record FILE.wav|- [options]

Records from this guest's virtual sound card into a WAV file, until Ctrl-C or
for a given time; - is standard output. A file that is there is overwritten.

Options:
  -d, --duration SECONDS
  -r, --rate HZ          without it, 48000, else the best that the card has
  -c, --channels N       without it, 2, else the nearest that the card has
  -f, --format FORMAT    s16_le, s24_le, s32_le, float_le, float64_le, u8,
                         mu_law or a_law; without it, the first of these that
                         the card has
  --volume DB            set the backend's capture volume
  --card N               the card with this number; without it, the first one
  --device N             the card's PCM device with this number; without it, the
                         first one that captures
  --emulate              use an emulated Xen machine inside this process
  --source SOURCE        what the emulated card captures; without it, sine
                           silence   nothing
                           sine:HZ   a sine; sine alone is one of 1000 Hz
                           wav:FILE  a WAV file, again and again
  -h, --help             print this

Examples:
  vsnd record -d 10 interview.wav
  vsnd record -c 1 -f s24_le --volume -6 voice.wav
  vsnd record - | sox -t wav - voice.flac
  vsnd record --emulate --source sine:440 -d 1 a.wav`;

const VOLUME = `Usage: vsnd volume [DB|mute|unmute] [options]

Shows the volume of the streams that another process plays or captures, or sets
it first: to DB (0 is unchanged, -6 is half), louder or less loud by some, mute.

Options:
  --up DB         louder by so much
  --down DB       less loud by so much
  --channel N     this channel only, counted from 0; may be given several times
  --playback      streams that play only
  --capture       streams that capture only
  --device N      streams of this PCM device only
  --stream N      streams with this number only
  --json          print JSON: an array of streams
  --card N        the card with this number; without it, the first one in use
  --emulate       the card of a process that runs with --emulate
  --socket FILE   the card behind this control socket
  -h, --help      print this

Examples:
  vsnd volume
  vsnd volume -6
  vsnd volume --down 3 --channel 1
  vsnd volume mute --capture`;

const MONITOR = `Usage: vsnd monitor [options]

Shows what the streams of a card do that another process has open, until that
one closes it: state, position, how full the buffer is, latency, underruns or
overruns, volume, and by how much the card's clock deviates.

Options:
  --once          look once
  --interval MS   between two looks; without it, 200 on a terminal, else 1000
  --json          print JSON: an object for each look, on a line
  --card N        the card with this number; without it, the first one in use
  --emulate       the card of a process that runs with --emulate
  --socket FILE   the card behind this control socket
  -h, --help      print this

Examples:
  vsnd monitor
  vsnd monitor --once --json
  vsnd monitor --emulate`;

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
  --sink SINK     where playback streams go that no --map fits; without it, to
                  the device that a stream's unique-id names (alsa, pulse), else
                  to null
  --source SOURCE where capture streams come from that no --map fits; without
                  it, from the device that a stream's unique-id names, else
                  silence
  --map ID=SINK, --map ID=SOURCE
                  for the streams whose unique-id is ID; a * in ID stands for
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

Sources:
  silence         nothing, at the pace of a real card
  sine, sine:HZ   a sine of 1000 Hz, or of HZ, at -20 dBFS
  wav:FILE        a WAV file, over and over; FILE as above
  exec:COMMAND    a program's standard output; COMMAND as above
  alsa            arecord; alsa<hw:0;0> for the device hw:0,0
  pulse           parec; pulse<SOURCE>, or pulse<SOURCE>media.role:phone

Examples:
  vsnd backend
  vsnd backend --sink 'wav:/var/tmp/{domid}-{devid}-{pcm}-{stream}.wav'
  vsnd backend --map 'radio*=null' --sink 'alsa<hw:0;0>' --source alsa
  vsnd backend --sink 'exec:aplay -q -t raw -r {rate} -c {channels} -f {format}'`;

const DOCTOR = `Usage: vsnd doctor [options]

Checks all that this guest needs to play through its virtual sound card, and
says for each problem how to mend it. Connects to the card's backend at the end,
where no process has the card. The exit status is 0 only where sound can play.

Options:
  --card N      the card with this number; without it, the first one
  --release     take the card from the kernel's own driver, as root
  --no-connect  do not connect to the backend
  --json        print JSON: an array of { check, status, message, mend }
  --emulate     examine a guest of an emulated Xen machine
  -h, --help    print this

Examples:
  vsnd doctor
  sudo vsnd doctor --release
  vsnd doctor --emulate --json`;

/** The help text of vsnd, or of one of its commands. Throws {@link UsageError} for another one. */
export function helpText(command: string | undefined): string {
  if (command === undefined || command === 'help') return GENERAL;
  if (command === 'play') return PLAY;
  if (command === 'record') return RECORD;
  if (command === 'volume') return VOLUME;
  if (command === 'monitor') return MONITOR;
  if (command === 'list') return LIST;
  if (command === 'backend') return BACKEND;
  if (command === 'doctor') return DOCTOR;
  throw new UsageError(`unknown command '${command}'`);
}

/** The package's version. */
export function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
