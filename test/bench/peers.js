// What vsnd is measured against and over, as far as this machine has it.
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathOf } from './process-cpu.js';

/** npm `speaker`, found as any package is. */
export function isSpeakerInstalled() {
  try {
    createRequire(import.meta.url).resolve('speaker');
    return true;
  } catch {
    return false;
  }
}

export const HOW_TO_INSTALL_SPEAKER =
  'speaker: npm install --no-save speaker@0.5.5 (on Debian: g++ make python3 libasound2-dev)';

/** The environment of a program whose default sound card of ALSA is `card`, whatever cards there are. */
export function alsaWith(card, directory) {
  const path = join(directory, 'alsa.conf');
  writeFileSync(path, card);
  return { ALSA_CONFIG_PATH: path };
}

/** ALSA's null device, which keeps no time. */
export const NULL_CARD = 'pcm.!default { type null }\n';

/** A card that keeps time; undefined where it cannot be compiled. */
export function pacedCard(directory) {
  const library = compile('paced-alsa.c', join(directory, 'paced-alsa.so'), ['-lasound']);
  return library && `pcm_type.paced { lib "${library}" }\npcm.!default { type paced }\n`;
}

/** The environment of a program over the devices of test/native; undefined where the addon or they cannot be had. */
export function standInDevices(directory) {
  if (!existsSync(pathOf(`../../prebuilds/${process.platform}-${process.arch}/vsnd.node`))) return undefined;
  const library = compile('../native/stand-in.c', join(directory, 'stand-in.so'));
  return library && { LD_PRELOAD: library };
}

/** The same, with the time of each event written to `file` when the program ends. */
export function timedDevices({ LD_PRELOAD: devices }, directory, file) {
  const library = compile('event-times.c', join(directory, 'event-times.so'));
  return library && { LD_PRELOAD: `${library}:${devices}`, VSND_EVENT_TIMES: file };
}

/** The path of a C program of this folder; undefined where it cannot be compiled. */
export function program(name, directory) {
  const path = join(directory, name);
  return build(`${name}.c`, path, ['-pthread']);
}

export const HOW_TO_HAVE_DEVICES =
  'stand-in devices: npm run build:native (on Debian: g++ libuv1-dev libxen-dev)';

/** Returns the library's path; undefined where it cannot be compiled. */
function compile(source, library, libraries = []) {
  return build(source, library, ['-shared', '-fPIC', '-DPIC'], libraries);
}

function build(source, path, options, libraries = []) {
  const args = ['-O2', '-w', ...options, '-o', path, pathOf(source), ...libraries];
  return spawnSync('cc', args, { stdio: 'ignore' }).status === 0 ? path : undefined;
}
