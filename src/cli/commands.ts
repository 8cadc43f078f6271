import { UsageError } from './arguments.ts';
import { backend } from './backend.ts';
import { bridge } from './bridge.ts';
import type { Command } from './command.ts';
import { completion } from './completion.ts';
import { doctor } from './doctor.ts';
import { list } from './list.ts';
import { monitor } from './monitor.ts';
import { play } from './play.ts';
import { record } from './record.ts';
import { serve } from './serve.ts';
import { tone } from './tone.ts';
import { volume } from './volume.ts';

/** All commands, in the order in which they are told of. */
export const COMMANDS: readonly Command[] = [
  play,
  record,
  tone,
  volume,
  monitor,
  list,
  bridge,
  serve,
  backend,
  doctor,
  completion,
];

/** The command of this name. Throws {@link UsageError}. */
export function findCommand(name: string): Command {
  const command = COMMANDS.find((one) => one.name === name);
  if (command) return command;
  throw new UsageError(`unknown ${name.startsWith('-') ? 'option' : 'command'} '${name}'`);
}
