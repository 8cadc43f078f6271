import { PulseError } from '../pulse/command.ts';
import type { RequestName, RequestOf } from '../pulse/requests.ts';
import type { Asking } from './hub.ts';

/** Carry out requests, each by its name. They throw, or reject with, {@link PulseError}. */
export type Handlers<Result> = {
  readonly [Name in RequestName]?: (asking: Asking, fields: RequestOf<Name>) => Result;
};

/** What has that index, or channel. Throws {@link PulseError}. */
export function found<T>(all: ReadonlyMap<number, T>, index: number): T {
  const one = all.get(index);
  if (one === undefined) throw new PulseError('noEntity');
  return one;
}
