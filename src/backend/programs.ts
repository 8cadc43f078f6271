import { PCM_FORMATS, type PcmFormatName } from '../wire/pcm-format.ts';
import type { StreamAddress } from './card.ts';
import { type ExecDeviceOptions, execDevice } from './exec-device.ts';
import type { DeviceParams, PcmDevice } from './pcm-device.ts';

/** ms that aplay and pacat are asked to buffer themselves. */
const LATENCY = 100;

type FormatNames = Readonly<Partial<Record<PcmFormatName, string>>>;

/** ALSA's names are sndif's, in capitals. */
const ALSA_NAMES: FormatNames = Object.fromEntries(
  PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined).map(({ name }) => [
    name,
    name.toUpperCase(),
  ]),
);

/** PulseAudio's; its s24-32 has ALSA's 24 bits in 4 octets. */
const PULSE_NAMES: FormatNames = {
  u8: 'u8',
  s16_le: 's16le',
  s16_be: 's16be',
  s24_le: 's24-32le',
  s24_be: 's24-32be',
  s32_le: 's32le',
  s32_be: 's32be',
  float_le: 'float32le',
  float_be: 'float32be',
  mu_law: 'ulaw',
  a_law: 'alaw',
};

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

/** What holds for every program. */
export type PlayerSettings = Pick<ExecDeviceOptions, 'setPipeSize' | 'closeGrace'>;

/** ALSA's aplay, on the PCM device of that name, or on the default one. */
export function aplayDevice(alsaDevice: string | undefined, settings: PlayerSettings): PcmDevice {
  const where = alsaDevice === undefined ? [] : [`--device=${alsaDevice}`];
  return execDevice({
    ...settings,
    description: ['aplay', ...where].join(' '),
    formats: formatsOf(ALSA_NAMES),
    commandFor: ({ rate, channels, format }) => ({
      name: 'aplay',
      file: 'aplay',
      args: [
        ...['--quiet', '--file-type=raw', ...where, `--buffer-time=${LATENCY * 1000}`],
        ...[`--rate=${rate}`, `--channels=${channels}`, `--format=${ALSA_NAMES[format]}`],
      ],
    }),
  });
}

/** PulseAudio's pacat, into the sink of that name, or into the default one. */
export function pacatDevice(
  sink: string | undefined,
  properties: readonly string[],
  { frontendDomid, devid, pcmDevice, config }: StreamAddress,
  settings: PlayerSettings,
): PcmDevice {
  const where = [
    ...(sink === undefined ? [] : [`--device=${sink}`]),
    ...properties.map((property) => `--property=${property}`),
  ];
  const streamName = `domain ${frontendDomid}, card ${devid}, stream ${pcmDevice}/${config.index}`;
  return execDevice({
    ...settings,
    description: ['pacat', ...where].join(' '),
    formats: formatsOf(PULSE_NAMES),
    commandFor: ({ rate, channels, format }) => ({
      name: 'pacat',
      file: 'pacat',
      args: [
        ...['--playback', '--raw', ...where, `--latency-msec=${LATENCY}`],
        ...['--client-name=vsnd', `--stream-name=${streamName}`],
        ...[`--rate=${rate}`, `--channels=${channels}`, `--format=${PULSE_NAMES[format]}`],
      ],
    }),
  });
}

/**
 * A command line of the operator's, run by a shell. What it is told are numbers and names of formats: nothing
 * that a guest could have written. It takes the formats that have a name for the placeholders that it uses.
 */
export function shellDevice(command: string, address: StreamAddress, settings: PlayerSettings): PcmDevice {
  const used = Object.entries(NAMES_BY_PLACEHOLDER).filter(
    ([name]) => command.includes(`{${name}}`) || command.includes(variableOf(name)),
  );
  const formats = formatsOf(ALSA_NAMES).filter((format) =>
    used.every(([, names]) => names[format] !== undefined),
  );
  return execDevice({
    ...settings,
    description: `exec:${command}`,
    formats,
    commandFor: (params) => {
      const values = valuesFor(params, address);
      const env = Object.fromEntries(
        Object.entries(values).map(([name, value]) => [variableOf(name), value]),
      );
      return { name: `exec:${command}`, file: 'sh', args: ['-c', fillIn(command, values)], env };
    },
  });
}

/** Puts values in the place of `{name}`; other braces, and those of a shell's `${name}`, stay as they are. */
export function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/(?<!\$)\{([a-z-]+)\}/g, (whole, name: string) => values[name] ?? whole);
}

function valuesFor(
  { rate, channels, format }: DeviceParams,
  { frontendDomid, devid, pcmDevice, config }: StreamAddress,
): Record<string, string> {
  const numbers = { rate, channels, domid: frontendDomid, devid, pcm: pcmDevice, stream: config.index };
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
