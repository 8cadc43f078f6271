/** What the toolstack (xl, libxl) does to the XenStore of an emulated machine. */

import { checkOptionNames, type OptionNames } from '../../option-names.ts';
import type { XsPermission } from '../../wire/xenstore.ts';
import type { EmulatedMachine } from './machine.ts';
import { homeOf } from './store-server.ts';
import { parentPath, walk } from './store-tree.ts';
import type { StoreView } from './store-view.ts';

/** Nodes of XenStore by their names, as in sndif.h: `{ 'sample-rates': '48000', 'channels-max': '2' }`. */
export type Fields = Readonly<Record<string, string>>;

/** What makeCard writes, and what a frontend publishes (XENSND_FIELD_RING_REF and others). */
const NOT_CONFIGURED =
  /^$|^\/(?:backend|backend-id|state|version)$|\/(?:ring-ref|event-channel|evt-ring-ref|evt-event-channel)$/;

/** Which card of which guest, and who serves it. */
export interface SoundCardAddress {
  /** The guest's domain. */
  frontendDomid: number;
  /** 0 by default. */
  backendDomid?: number;
  /** 0 by default. */
  devid?: number;
}

/** A card, as xl.cfg has it. */
export interface SoundCardOptions extends SoundCardAddress {
  /** The card's own nodes. */
  fields?: Fields;
  /** Its PCM devices, numbered from 0. */
  pcmDevices: readonly {
    /** The device's own nodes. */
    fields?: Fields;
    /** Its streams, numbered from 0. */
    streams: readonly {
      /** The stream's own nodes: `type` and `unique-id` at least. */
      fields: Fields;
    }[];
  }[];
}

const SOUND_CARD_OPTIONS: OptionNames<SoundCardOptions> = {
  frontendDomid: true,
  backendDomid: true,
  devid: true,
  fields: true,
  pcmDevices: true,
};

/** The absolute paths of a card's two directories. */
export interface SoundCardPaths {
  /** The guest's end. */
  frontend: string;
  /** The backend's end. */
  backend: string;
}

export function soundCardPaths({
  frontendDomid,
  backendDomid = 0,
  devid = 0,
}: SoundCardAddress): SoundCardPaths {
  return {
    frontend: `${homeOf(frontendDomid)}/device/vsnd/${devid}`,
    backend: `${homeOf(backendDomid)}/backend/vsnd/${frontendDomid}/${devid}`,
  };
}

/** Makes a sound card, both ends in XenbusStateInitialising, with the permissions that libxl gives. */
export function createSoundCard(machine: EmulatedMachine, options: SoundCardOptions): SoundCardPaths {
  checkOptionNames('createSoundCard()', options, SOUND_CARD_OPTIONS);
  const { fields = {}, pcmDevices } = options;
  return machine.store.run((view) => {
    const paths = makeCard(view, options);
    writeFields(view, paths.frontend, fields);
    for (const [pcm, device] of pcmDevices.entries()) {
      writeFields(view, `${paths.frontend}/${pcm}`, device.fields ?? {});
      for (const [index, stream] of device.streams.entries()) {
        writeFields(view, `${paths.frontend}/${pcm}/${index}`, stream.fields);
      }
    }
    return paths;
  });
}

/** Asks the backend to close the card, as `xl` does first: offline, and its state XenbusStateClosing. */
export function requestSoundCardClose(machine: EmulatedMachine, address: SoundCardAddress): void {
  const { backend } = soundCardPaths(address);
  machine.store.run((view) => writeFields(view, backend, { online: '0', state: '5' }));
}

/** Removes both directories of a card, and those above that are empty then. */
export function removeSoundCard(machine: EmulatedMachine, address: SoundCardAddress): void {
  const { frontend, backend } = soundCardPaths(address);
  machine.store.run((view) => {
    removeUpwards(view, frontend);
    removeUpwards(view, backend);
  });
}

/**
 * Removes what XenStore says of a domain, and the backends that served its cards: the end of `xl destroy`.
 */
export function removeDomain(machine: EmulatedMachine, domid: number, backendDomid = 0): void {
  machine.store.run((view) => {
    removeUpwards(view, homeOf(domid));
    removeUpwards(view, `${homeOf(backendDomid)}/backend/vsnd/${domid}`);
  });
}

/**
 * `xl save` and `xl restore` of a running guest, in one instant; returns the new domid, see restoreDomain of
 * the machine. Its cards are made anew, with no trace of the frontend's, and both ends in
 * XenbusStateInitialising.
 */
export function restoreDomain(machine: EmulatedMachine, domid: number): number {
  const cards = machine.store.run((view) => readCards(view, domid));
  const backends = new Set([0, ...cards.map(({ backendDomid }) => backendDomid)]);
  return machine.restoreDomain(domid, (restored) => {
    for (const backendDomid of backends) removeDomain(machine, domid, backendDomid);
    machine.store.run((view) => {
      for (const { nodes, ...card } of cards) {
        const { frontend } = makeCard(view, { ...card, frontendDomid: restored });
        for (const [path, value] of nodes) view.write(`${frontend}${path}`, value);
      }
    });
  });
}

/** A card as its configuration says, for another domain to have the same. */
interface SavedCard {
  devid: number;
  backendDomid: number;
  /** Paths below the frontend's directory. */
  nodes: [path: string, value: Uint8Array][];
}

function readCards(view: StoreView, domid: number): SavedCard[] {
  const folder = `${homeOf(domid)}/device/vsnd`;
  const cards = view.has(folder) ? [...view.read(folder).children] : [];
  return cards.map(([name, card]) => ({
    devid: Number(name),
    backendDomid: Number(Buffer.from(card.children.get('backend-id')?.value ?? [])),
    nodes: [...walk('', card)]
      .filter(([path]) => !NOT_CONFIGURED.test(path))
      .map(([path, { value }]) => [path, value]),
  }));
}

/** Both directories, and what every card has in them. */
function makeCard(view: StoreView, address: SoundCardAddress): SoundCardPaths {
  const { frontendDomid, backendDomid = 0 } = address;
  const paths = soundCardPaths(address);
  const { frontend, backend } = paths;
  makeDirectory(view, frontend, frontendDomid, backendDomid);
  makeDirectory(view, backend, backendDomid, frontendDomid);
  writeFields(view, backend, { frontend, 'frontend-id': String(frontendDomid), online: '1', state: '1' });
  writeFields(view, frontend, { backend, 'backend-id': String(backendDomid), state: '1' });
  return paths;
}

function makeDirectory(view: StoreView, path: string, owner: number, reader: number): void {
  const permissions: XsPermission[] = [
    { access: 'n', domid: owner },
    { access: 'r', domid: reader },
  ];
  if (view.has(path)) view.remove(path);
  view.mkdir(path);
  view.setPermissions(path, permissions);
}

function writeFields(view: StoreView, directory: string, fields: Fields): void {
  if (Object.keys(fields).length === 0) view.mkdir(directory);
  for (const [name, value] of Object.entries(fields)) view.write(`${directory}/${name}`, Buffer.from(value));
}

function removeUpwards(view: StoreView, path: string): void {
  if (!view.has(path)) return;
  view.remove(path);
  const parent = parentPath(path);
  if (view.read(parent).children.size === 0) removeUpwards(view, parent);
}
