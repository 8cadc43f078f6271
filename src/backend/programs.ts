import type { ProgramCommand } from '../child-program.ts';
import { PULSE_FORMATS } from '../pulse/sample-spec.ts';
import { PCM_FORMATS, type PcmFormatName } from '../wire/pcm-format.ts';
import type { StreamAddress } from './card.ts';
import type { HostName } from './device-names.ts';
import type { DeviceParams } from './pcm-device.ts';

/** ms that aplay, pacat, pw-cat and arecord are asked to buffer themselves. */
const LATENCY = 100;

/** ms of sound that parec gives at once; arecord gives a quarter of what it buffers. */
const FRAGMENT = 25;

type FormatNames = Readonly<Partial<Record<PcmFormatName, string>>>;

/** ALSA's names are sndif's, in capitals. */
const ALSA_NAMES: FormatNames = Object.fromEntries(
  PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined).map(({ name }) => [
    name,
    name.toUpperCase(),
  ]),
);

/** PulseAudio's, of formats whose samples are laid out as ours. */
const PULSE_NAMES: FormatNames = Object.fromEntries(
  PULSE_FORMATS.filter(({ isPacked }) => !isPacked).map(({ pcm, name }) => [pcm, name]),
);

/** pw-cat's; they have the machine's own byte order. */
const PW_NAMES: FormatNames = {
  s8: 's8',
  u8: 'u8',
  s16_le: 's16',
  s32_le: 's32',
  float_le: 'f32',
  float64_le: 'f64',
};

const NAMES_BY_PLACEHOLDER: Readonly<Record<string, FormatNames>> = {
  format: ALSA_NAMES,
  'pulse-format': PULSE_NAMES,
  'pw-format': PW_NAMES,
};

/** A program that plays its standard input, or captures to its standard output. */
export interface SoundProgram {
  /** What it is, as a person reads it. */
  readonly description: string;
  /** What it can be told to play or to capture. */
  readonly formats: readonly PcmFormatName[];
  /** Debian's package that has it; undefined for the operator's own. */
  readonly debian?: string;
  commandFor(params: DeviceParams): ProgramCommand;
}

/** Which stream it is: numbers, nothing that a guest could have written. */
export interface StreamNumbers {
  readonly domid: number;
  readonly devid: number;
  readonly pcm: number;
  readonly stream: number;
}

/** Those of a stream; zeros for none, as a program has them that is only tried. */
export function numbersOf(address?: StreamAddress): StreamNumbers {
  const { frontendDomid = 0, devid = 0, pcmDevice = 0, config } = address ?? {};
  return { domid: frontendDomid, devid, pcm: pcmDevice, stream: config?.index ?? 0 };
}

/** The program that plays a stream into a sink. */
export function playerFor(sink: HostName, stream: StreamNumbers): SoundProgram {
  switch (sink.kind) {
    case 'exec':
      return shellProgram(sink.command, stream);
    case 'alsa':
      return alsaProgram('aplay', sink.device);
    case 'pulse':
      return pulseProgram('pacat', sink.device, sink.properties, stream);
    case 'pipewire':
      return pipewireProgram('--playback', sink.device, stream);
  }
}

/** The program that captures for a stream from a source. */
export function recorderFor(source: HostName, stream: StreamNumbers): SoundProgram {
  switch (source.kind) {
    case 'exec':
      return shellProgram(source.command, stream);
    case 'alsa':
      return alsaProgram('arecord', source.device);
    case 'pulse':
      return pulseProgram('parec', source.device, source.properties, stream);
    case 'pipewire':
      return pipewireProgram('--record', source.device, stream);
  }
}

/** ALSA's aplay or arecord, on the PCM device of that name, or on the default one. */
function alsaProgram(name: 'aplay' | 'arecord', alsaDevice: string | undefined): SoundProgram {
  const where = alsaDevice === undefined ? [] : [`--device=${alsaDevice}`];
  return {
    description: [name, ...where].join(' '),
    formats: formatsOf(ALSA_NAMES),
    debian: 'alsa-utils',
    commandFor: ({ rate, channels, format }) => ({
      name,
      file: name,
      args: [
        ...['--quiet', '--file-type=raw', ...where, `--buffer-time=${LATENCY * 1000}`],
        ...[`--rate=${rate}`, `--channels=${channels}`, `--format=${ALSA_NAMES[format]}`],
      ],
    }),
  };
}

/** PulseAudio's pacat or parec, at the sink or source of that name, or at the default one. */
function pulseProgram(
  name: 'pacat' | 'parec',
  pulseDevice: string | undefined,
  properties: readonly string[],
  stream: StreamNumbers,
): SoundProgram {
  const where = [
    ...(pulseDevice === undefined ? [] : [`--device=${pulseDevice}`]),
    ...properties.map((property) => `--property=${property}`),
  ];
  const [direction, latency] = name === 'pacat' ? ['--playback', LATENCY] : ['--record', FRAGMENT];
  return {
    description: [name, ...where].join(' '),
    formats: formatsOf(PULSE_NAMES),
    debian: 'pulseaudio-utils',
    commandFor: ({ rate, channels, format }) => ({
      name,
      file: name,
      args: [
        ...[direction, '--raw', ...where, `--latency-msec=${latency}`],
        ...['--client-name=vsnd', `--stream-name=${nameOf(stream)}`],
        ...[`--rate=${rate}`, `--channels=${channels}`, `--format=${PULSE_NAMES[format]}`],
      ],
    }),
  };
}

function nameOf({ domid, devid, pcm, stream }: StreamNumbers): string {
  return `domain ${domid}, card ${devid}, stream ${pcm}/${stream}`;
}

/** Since PipeWire 1.5 pw-cat looks for a file's header in its standard input unless it is told --raw, which older ones do not know. */
const PW_CAT = 'pw-cat --help | grep -q -e --raw && set -- --raw "$@"; exec pw-cat "$@" -';

/** PipeWire's pw-cat, at the node of that name, or at the default one. */
function pipewireProgram(
  mode: '--playback' | '--record',
  node: string | undefined,
  stream: StreamNumbers,
): SoundProgram {
  const where = [mode, ...(node === undefined ? [] : [`--target=${node}`])];
  return {
    description: ['pw-cat', ...where].join(' '),
    formats: formatsOf(PW_NAMES),
    debian: 'pipewire-bin',
    commandFor: ({ rate, channels, format }) => ({
      name: 'pw-cat',
      file: 'sh',
      args: [
        ...['-c', PW_CAT, 'pw-cat', ...where, `--latency=${mode === '--playback' ? LATENCY : FRAGMENT}ms`],
        ...[`--rate=${rate}`, `--channels=${channels}`, `--format=${PW_NAMES[format]}`],
        `--properties=${JSON.stringify({ 'node.name': 'vsnd', 'media.name': nameOf(stream) })}`,
      ],
    }),
  };
}

/**
 * A command line of the operator's, run by a shell. What it is told are numbers and names of formats: nothing
 * that a guest could have written. It takes the formats that have a name for the placeholders that it uses.
 */
function shellProgram(command: string, stream: StreamNumbers): SoundProgram {
  const name = `exec:${command}`;
  const used = Object.entries(NAMES_BY_PLACEHOLDER).filter(
    ([placeholder]) => command.includes(`{${placeholder}}`) || command.includes(variableOf(placeholder)),
  );
  const formats = formatsOf(ALSA_NAMES).filter((format) =>
    used.every(([, names]) => names[format] !== undefined),
  );
  return {
    description: name,
    formats,
    commandFor: (params) => {
      const values = valuesFor(params, stream);
      const env = Object.fromEntries(
        Object.entries(values).map(([placeholder, value]) => [variableOf(placeholder), value]),
      );
      return { name, file: 'sh', args: ['-c', fillIn(command, values)], env };
    },
  };
}

/** Puts values in the place of `{name}`; other braces, and those of a shell's `${name}`, stay as they are. */
export function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/(?<!\$)\{([a-z-]+)\}/g, (whole, name: string) => values[name] ?? whole);
}

function valuesFor({ rate, channels, format }: DeviceParams, stream: StreamNumbers): Record<string, string> {
  const numbers = { rate, channels, ...stream };
  const names = Object.entries(NAMES_BY_PLACEHOLDER).map(([name, formats]) => [name, formats[format]]);
  const values = [...Object.entries(numbers), ...names].filter(([, value]) => value !== undefined);
  return Object.fromEntries(values.map(([name, value]) => [name, String(value)]));
}

function variableOf(placeholder: string): string {
  return `VSND_${placeholder.replace('-', '_').toUpperCase()}`;
}

function formatsOf(names: FormatNames): PcmFormatName[] {
  return Object.keys(names) as PcmFormatName[];
}
