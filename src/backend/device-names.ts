import { invalidArgError } from '../errors.ts';

/** A sink as its name says it. */
export type SinkName =
  | { readonly kind: 'null' | 'speaker' }
  | { readonly kind: 'wav'; readonly file: string }
  | HostName;

/** A source as its name says it. */
export type SourceName =
  | { readonly kind: 'silence' }
  /** Hz */
  | { readonly kind: 'sine'; readonly frequency: number }
  | { readonly kind: 'wav'; readonly file: string }
  | HostName;

/** What programs play or capture. `device`: by default the default one. */
export type HostName =
  | { readonly kind: 'exec'; readonly command: string }
  | { readonly kind: 'alsa' | 'pipewire'; readonly device: string | undefined }
  | { readonly kind: 'pulse'; readonly device: string | undefined; readonly properties: readonly string[] };

export const SINK_NAMES =
  'null, speaker, wav:FILE (not -), exec:COMMAND, alsa, alsa<DEVICE>, pulse, pulse<SINK>, pipewire, pipewire<NODE>';
export const SOURCE_NAMES =
  'silence, sine, sine:HZ, wav:FILE (not -), exec:COMMAND, alsa, alsa<DEVICE>, pulse, pulse<SOURCE>, pipewire, pipewire<NODE>';

/** What a WAV file's name may have in braces. */
const WAV_PLACEHOLDERS = ['domid', 'devid', 'pcm', 'stream', 'id'];

/** Hz, where a sine has no number: what one aligns with. */
const DEFAULT_FREQUENCY = 1000;

/** The sink that `name` means. Throws ERR_VSND_INVALID_ARG, for `option`. */
export function parseSink(name: string, option = '--sink'): SinkName {
  const sink = sinkOf(name);
  if (sink === undefined) throw invalidArgError(option, name, SINK_NAMES);
  return checked(sink, name, option);
}

/** The source that `name` means. Throws ERR_VSND_INVALID_ARG, for `option`. */
export function parseSource(name: string, option = '--source'): SourceName {
  const source = sourceOf(name);
  if (source === undefined) throw invalidArgError(option, name, SOURCE_NAMES);
  return checked(source, name, option);
}

/** As {@link parseSink}; undefined where it is no sink's name, unchecked where it is. */
export function sinkOf(name: string): SinkName | undefined {
  if (name === 'null' || name === 'speaker') return { kind: name };
  return fileOrCommand(name) ?? hostName(name);
}

/** As {@link parseSource}; undefined where it is no source's name, unchecked where it is. */
export function sourceOf(name: string): SourceName | undefined {
  if (name === 'silence' || name === 'null') return { kind: 'silence' };
  if (name === 'sine') return { kind: 'sine', frequency: DEFAULT_FREQUENCY };
  const frequency = Number(/^sine:(\d{1,6}(?:\.\d{1,3})?)$/.exec(name)?.[1]);
  if (frequency > 0) return { kind: 'sine', frequency };
  return fileOrCommand(name) ?? hostName(name);
}

function fileOrCommand(name: string) {
  const file = /^wav:(.+)$/s.exec(name)?.[1];
  if (file === '-') return undefined; // a WAV file gets its length at its end: standard output is none
  if (file !== undefined) return { kind: 'wav', file } as const;
  const command = /^exec:(.*\S.*)$/s.exec(name)?.[1];
  return command === undefined ? undefined : ({ kind: 'exec', command } as const);
}

function checked<Name extends SinkName | SourceName>(parsed: Name, name: string, option: string): Name {
  if (parsed.kind === 'wav') checkPlaceholders(parsed.file, option);
  if (parsed.kind === 'exec' && /\{id\}|VSND_ID\b/.test(parsed.command)) {
    throw invalidArgError(
      option,
      name,
      'a command without {id}: a guest writes it, and a shell would read it',
    );
  }
  return parsed;
}

function checkPlaceholders(file: string, option: string): void {
  for (const [whole, name = ''] of file.matchAll(/\{([^{}]*)\}/g)) {
    if (WAV_PLACEHOLDERS.includes(name)) continue;
    throw invalidArgError(
      `a placeholder of ${option}`,
      whole,
      WAV_PLACEHOLDERS.map((allowed) => `{${allowed}}`).join(', '),
    );
  }
}

/** Whatever an operator may have in an asound.conf. */
const ALSA_NAME = /^[^\s<>]{1,255}$/;
const PULSE_NAME = /^[A-Za-z0-9@][A-Za-z0-9._:+@-]{0,127}$/;
const PULSE_PROPERTY = /^([a-z][a-z0-9._-]{0,63}):([A-Za-z0-9][A-Za-z0-9 ._-]{0,63})$/;

/**
 * A device of a sound server's, as the operator names it: `alsa`, `alsa<hw:0;0>`, `pulse`, `pulse<device>`,
 * `pulse<device>media.role:navi`, `pipewire`, `pipewire<node>`; `;` stands for `,`.
 */
function hostName(text: string): HostName | undefined {
  const [, server, named, rest = ''] = /^(alsa|pulse|pipewire)(?:<([^<>]*)>([^<>]*))?$/.exec(text) ?? [];
  const device = named || undefined;
  if (server === 'alsa') {
    const isUsable = rest === '' && (device === undefined || ALSA_NAME.test(device));
    return isUsable ? { kind: 'alsa', device: device?.replaceAll(';', ',') } : undefined;
  }
  if (server === 'pipewire') {
    const isUsable = rest === '' && (device === undefined || PULSE_NAME.test(device));
    return isUsable ? { kind: 'pipewire', device } : undefined;
  }
  if (server === 'pulse') {
    const properties = rest === '' ? [] : rest.split(';').map(pulseProperty);
    const isUsable = (device === undefined || PULSE_NAME.test(device)) && !properties.includes(undefined);
    if (!isUsable) return undefined;
    return { kind: 'pulse', device, properties: properties.filter((item) => item !== undefined) };
  }
  return undefined;
}

function pulseProperty(text: string): string | undefined {
  const [, name, value] = PULSE_PROPERTY.exec(text) ?? [];
  return name === undefined ? undefined : `${name}=${value}`;
}

/**
 * Those of ALSA's devices that lead to a card, and what says to which. Others write files, run programs, or lead to a sound
 * server (`file`, `tee`, `pulse`), and what asound.conf adds to them may be anything.
 */
const ALSA_CARD =
  /^(hw|plughw|dmix|dsnoop|default|sysdefault|front|rear|center_lfe|side|surround\d\d|iec958|spdif|hdmi)(:[A-Za-z0-9_=,.-]{1,64})?$/;

/** Not a number, by which PulseAudio finds devices as well, nor what stands for others: @DEFAULT_MONITOR@. */
const PULSE_OWN_NAME = /^[A-Za-z]/;

/** A monitor captures what all the others play. */
const PULSE_MONITOR = /\.monitor$/;

/** What a stream may say of itself. Others choose its devices, or load filters. */
const PULSE_PROPERTIES = /^media\.(role|name)=/;

/**
 * The device that a unique-id names by itself, as existing guests have it: see {@link hostName}. A guest can write what it
 * likes there: only what is surely a device, and nothing by which it could hear the others, counts.
 */
export function deviceOfId(id: string): HostName | undefined {
  const named = hostName(id);
  return named && isForGuests(named) ? named : undefined;
}

function isForGuests(named: HostName): boolean {
  switch (named.kind) {
    case 'alsa':
      return named.device === undefined || ALSA_CARD.test(named.device);
    case 'pulse': {
      const { device, properties } = named;
      const isOwn = device === undefined || (PULSE_OWN_NAME.test(device) && !isMonitor(device));
      return isOwn && properties.every((property) => PULSE_PROPERTIES.test(property));
    }
    case 'pipewire': // no guest has been given one by its unique-id so far
    case 'exec':
      return false;
  }
}

/** Whether a source of PulseAudio's captures what others play. */
export function isMonitor(source: string): boolean {
  return PULSE_MONITOR.test(source);
}
