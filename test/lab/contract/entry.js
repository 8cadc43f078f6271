// The contract suite, described for this machine's Xen: bundled for Dom0, where both ends are.
import { setTimeout as sleep } from 'node:timers/promises';
import { describeHypervisor } from '../../contract/hypervisor.ts';
import { tests } from './vitest.js';

/** ms after which what has not come does not come. */
const SETTLE_MS = 200;

/** The tests; `open` opens a hypervisor. Dom0 may grant pages to itself and bind its own ports. */
export function contractTests(open) {
  describeHypervisor('Xen', async () => {
    const [frontend, backend] = [await open(), await open()];
    return {
      frontend,
      frontendDomid: 0,
      backend,
      backendDomid: 0,
      scratch: '/local/domain/0/data/scratch',
      settle: () => sleep(SETTLE_MS),
      teardown: async () => {
        await frontend.close();
        await backend.close();
      },
    };
  });
  return tests;
}
