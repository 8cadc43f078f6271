import { VsndError } from '../errors.ts';

/** The protocol's version that vsnd speaks: the first with events, triggers and HW_PARAM_QUERY. */
const VERSION = '2'; // XENSND_PROTOCOL_VERSION

/**
 * What to write as `version` for a backend that lists its `versions` (sndif.h, "Protocol version"); undefined for one
 * that does not, as none did for years: it is taken to know this one. Throws ERR_VSND_NOT_SUPPORTED.
 */
export function chooseVersion(versions: string | undefined, backendPath: string): string | undefined {
  if (versions === undefined) return undefined;
  const known = versions.split(',').map((version) => version.trim());
  if (known.includes(VERSION)) return VERSION;
  const found = JSON.stringify(versions.slice(0, 80));
  throw new VsndError(
    'ERR_VSND_NOT_SUPPORTED',
    `the backend knows the protocol's versions ${found}; vsnd speaks version ${VERSION}`,
    { path: `${backendPath}/versions` },
  );
}
