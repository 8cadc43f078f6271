import type { Model, Step } from './explore.ts';

/** What a processor does with memory. `acquire` and `release` as in C++; a fence is a full one. */
export type Instruction =
  | { readonly op: 'load'; readonly from: string; readonly into: string; readonly order?: 'acquire' }
  | { readonly op: 'store'; readonly to: string; readonly value: number; readonly order?: 'release' }
  | { readonly op: 'fence' };

export const load = (from: string, into: string): Instruction => ({ op: 'load', from, into });
export const acquire = (from: string, into: string): Instruction => ({
  op: 'load',
  from,
  into,
  order: 'acquire',
});
export const store = (to: string, value: number): Instruction => ({ op: 'store', to, value });
export const release = (to: string, value: number): Instruction => ({
  op: 'store',
  to,
  value,
  order: 'release',
});
export const fence: Instruction = { op: 'fence' };

interface Machine {
  /** Of each processor, which of its instructions are done. */
  readonly done: readonly (readonly boolean[])[];
  readonly memory: Readonly<Record<string, number>>;
  readonly registers: Readonly<Record<string, number>>;
}

/**
 * Processors of a weakly ordered machine, as arm64 is: each does its instructions in any order that what stands between them allows,
 * and what one has stored all others see at once (ARMv8 is multi-copy atomic). Whatever x86 may do is among that.
 */
export function processors(
  programs: readonly (readonly Instruction[])[],
  forbidden: (
    registers: Readonly<Record<string, number>>,
    memory: Readonly<Record<string, number>>,
  ) => boolean,
): Model<Machine> {
  return {
    first: { done: programs.map((program) => program.map(() => false)), memory: {}, registers: {} },
    steps: (machine) =>
      programs.flatMap((program, processor) =>
        program.flatMap((instruction, index): Step<Machine>[] => {
          const done = machine.done[processor] ?? [];
          const waits = program
            .slice(0, index)
            .some((earlier, at) => !done[at] && keeps(earlier, instruction));
          if (done[index] || waits) return [];
          return [
            {
              name: `${processor}: ${JSON.stringify(instruction)}`,
              next: perform(machine, processor, index, instruction),
            },
          ];
        }),
      ),
    wrong: () => undefined,
    stuck: ({ registers, memory }) =>
      forbidden(registers, memory) ? JSON.stringify({ registers, memory }) : undefined,
  };
}

/** Whether the later one must wait for the earlier one. */
function keeps(earlier: Instruction, later: Instruction): boolean {
  if (earlier.op === 'fence' || later.op === 'fence') return true;
  if (earlier.op === 'load' && earlier.order === 'acquire') return true;
  if (later.op === 'store' && later.order === 'release') return true;
  return placeOf(earlier) === placeOf(later);
}

function placeOf(instruction: Exclude<Instruction, { op: 'fence' }>): string {
  return instruction.op === 'load' ? instruction.from : instruction.to;
}

function perform(machine: Machine, processor: number, index: number, instruction: Instruction): Machine {
  const done = machine.done.map((own, at) =>
    at === processor ? own.map((is, place) => is || place === index) : own,
  );
  const { memory, registers } = machine;
  if (instruction.op === 'store')
    return { done, registers, memory: { ...memory, [instruction.to]: instruction.value } };
  if (instruction.op === 'load')
    return { done, memory, registers: { ...registers, [instruction.into]: memory[instruction.from] ?? 0 } };
  return { done, memory, registers };
}
