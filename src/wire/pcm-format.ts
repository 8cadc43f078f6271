/** A sample format: its name in XenStore (XENSND_PCM_FORMAT_*_STR) is its name everywhere in vsnd. */
export interface PcmFormat {
  readonly name: PcmFormatName;
  /** The code on the wire: XENSND_PCM_FORMAT_*. */
  readonly code: number;
  /** Bytes of one sample in memory, as in ALSA (24 bits take 4); undefined where a sample has no fixed size. */
  readonly sampleBytes: number | undefined;
  /** The bytes of a silent sample; empty where there is no such thing. */
  readonly silence: readonly number[];
}

/** The sample formats of sndif.h, by their names in XenStore. */
export type PcmFormatName =
  | 's8'
  | 'u8'
  | 's16_le'
  | 's16_be'
  | 'u16_le'
  | 'u16_be'
  | 's24_le'
  | 's24_be'
  | 'u24_le'
  | 'u24_be'
  | 's32_le'
  | 's32_be'
  | 'u32_le'
  | 'u32_be'
  | 'float_le'
  | 'float_be'
  | 'float64_le'
  | 'float64_be'
  | 'iec958_subframe_le'
  | 'iec958_subframe_be'
  | 'mu_law'
  | 'a_law'
  | 'ima_adpcm'
  | 'mpeg'
  | 'gsm';

const zeros = (count: number): number[] => new Array<number>(count).fill(0);

const format = (
  code: number,
  name: PcmFormatName,
  sampleBytes: number | undefined,
  silence: readonly number[] = zeros(sampleBytes ?? 0),
): PcmFormat => ({ name, code, sampleBytes, silence });

/** All formats of sndif.h, in the order of their codes. */
export const PCM_FORMATS: readonly PcmFormat[] = [
  format(0, 's8', 1), // XENSND_PCM_FORMAT_S8
  format(1, 'u8', 1, [0x80]), // XENSND_PCM_FORMAT_U8
  format(2, 's16_le', 2), // XENSND_PCM_FORMAT_S16_LE
  format(3, 's16_be', 2), // XENSND_PCM_FORMAT_S16_BE
  format(4, 'u16_le', 2, [0, 0x80]), // XENSND_PCM_FORMAT_U16_LE
  format(5, 'u16_be', 2, [0x80, 0]), // XENSND_PCM_FORMAT_U16_BE
  format(6, 's24_le', 4), // XENSND_PCM_FORMAT_S24_LE
  format(7, 's24_be', 4), // XENSND_PCM_FORMAT_S24_BE
  format(8, 'u24_le', 4, [0, 0, 0x80, 0]), // XENSND_PCM_FORMAT_U24_LE
  format(9, 'u24_be', 4, [0, 0x80, 0, 0]), // XENSND_PCM_FORMAT_U24_BE
  format(10, 's32_le', 4), // XENSND_PCM_FORMAT_S32_LE
  format(11, 's32_be', 4), // XENSND_PCM_FORMAT_S32_BE
  format(12, 'u32_le', 4, [0, 0, 0, 0x80]), // XENSND_PCM_FORMAT_U32_LE
  format(13, 'u32_be', 4, [0x80, 0, 0, 0]), // XENSND_PCM_FORMAT_U32_BE
  format(14, 'float_le', 4), // XENSND_PCM_FORMAT_F32_LE
  format(15, 'float_be', 4), // XENSND_PCM_FORMAT_F32_BE
  format(16, 'float64_le', 8), // XENSND_PCM_FORMAT_F64_LE
  format(17, 'float64_be', 8), // XENSND_PCM_FORMAT_F64_BE
  format(18, 'iec958_subframe_le', 4), // XENSND_PCM_FORMAT_IEC958_SUBFRAME_LE
  format(19, 'iec958_subframe_be', 4), // XENSND_PCM_FORMAT_IEC958_SUBFRAME_BE
  format(20, 'mu_law', 1, [0xff]), // XENSND_PCM_FORMAT_MU_LAW
  format(21, 'a_law', 1, [0xd5]), // XENSND_PCM_FORMAT_A_LAW
  format(22, 'ima_adpcm', undefined), // XENSND_PCM_FORMAT_IMA_ADPCM
  format(23, 'mpeg', undefined), // XENSND_PCM_FORMAT_MPEG
  format(24, 'gsm', undefined), // XENSND_PCM_FORMAT_GSM
];

/** What libxl writes where sndif.h has another name. */
const LIBXL_NAMES: Readonly<Record<string, PcmFormatName>> = {
  f32_le: 'float_le',
  f32_be: 'float_be',
  f64_le: 'float64_le',
  f64_be: 'float64_be',
};

const BY_NAME: ReadonlyMap<string, PcmFormat> = new Map(PCM_FORMATS.map((entry) => [entry.name, entry]));

/** The format of a name that is known to be one. */
export function pcmFormat(name: PcmFormatName): PcmFormat {
  return BY_NAME.get(name) as PcmFormat;
}

/** The format of a XenStore name, sndif.h's or libxl's; undefined for any other string. */
export function pcmFormatByName(name: string): PcmFormat | undefined {
  return BY_NAME.get(LIBXL_NAMES[name] ?? name);
}

/** The format of a code on the wire; undefined for a code that sndif.h does not have. */
export function pcmFormatByCode(code: number): PcmFormat | undefined {
  return PCM_FORMATS[code];
}
