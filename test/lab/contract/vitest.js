// As much of vitest as the contract suite uses, for a machine where only Node runs.
import { chai, JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect';

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);

export const expect = chai.expect;

const before = [];
const after = [];
const names = [];

/** Every test that has been described: its whole name, and what it does, with all before and after it. */
export const tests = [];

export function describe(name, body) {
  names.push(name);
  body();
  names.pop();
}

export function beforeEach(action) {
  before.push(action);
}

export function afterEach(action) {
  after.push(action);
}

export function test(name, action) {
  const run = async () => {
    for (const prepare of before) await prepare();
    try {
      await action();
    } finally {
      for (const clean of after) await clean();
    }
  };
  tests.push({ name: [...names, name].slice(1).join(': '), run });
}
