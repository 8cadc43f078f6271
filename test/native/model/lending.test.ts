import { describe, expect, test } from 'vitest';
import { explore } from './explore.ts';
import { type LendingMistake, lending } from './lending.ts';

describe('two streams go to and fro between the thread and JavaScript, which may be late as it likes', () => {
  test.each([[[-1, -1]], [[0, -1]], [[1, -1]], [[0, 1]], [[1, 1]], [[0, 0]]])(
    'with what is not ordinary at %j: no event is lost, and none is handled twice',
    (odd) => {
      const { mistake, states } = explore(lending(odd));
      expect(mistake).toBeUndefined();
      expect(states).toBeGreaterThan(1000);
    },
  );

  test.each<LendingMistake>(['untold port', 'left masked', 'standing read too early', 'not taken back'])(
    '%s: is found',
    (mistake) => {
      const found = explore(lending([1, -1], { mistake })).mistake;
      expect(found).toBeDefined();
    },
  );
});
