import type { Command } from './command.ts';

/** All commands, in the order in which they are told of, and what loads each: whoever runs one does not pay for the others. */
const LOADERS: Readonly<Record<string, () => Promise<Command>>> = {
  play: async () => (await import('./play.ts')).play,
  record: async () => (await import('./record.ts')).record,
  tone: async () => (await import('./tone.ts')).tone,
  volume: async () => (await import('./volume.ts')).volume,
  monitor: async () => (await import('./monitor.ts')).monitor,
  list: async () => (await import('./list.ts')).list,
  bridge: async () => (await import('./bridge.ts')).bridge,
  serve: async () => (await import('./serve.ts')).serve,
  backend: async () => (await import('./backend.ts')).backend,
  doctor: async () => (await import('./doctor.ts')).doctor,
  completion: async () => (await import('./completion.ts')).completion,
};

/** The command of this name; undefined where there is none. */
export async function findCommand(name: string): Promise<Command | undefined> {
  return Object.hasOwn(LOADERS, name) ? await LOADERS[name]?.() : undefined;
}

/** The names of all of them. */
export function commandNames(): string[] {
  return Object.keys(LOADERS);
}

/** All of them. */
export async function loadCommands(): Promise<Command[]> {
  return await Promise.all(Object.values(LOADERS).map((load) => load()));
}
