// The contract of the hypervisor interface, which the emulated machine keeps as well, with Xen's own devices.
import { setTimeout as sleep } from 'node:timers/promises';
import { openLinuxHypervisor } from '../../../dist/xen/linux/hypervisor.js';

const TEST_LIMIT_MS = 10_000;

export async function run() {
  const { contractTests } = await import('/vsnd/contract/suite.mjs');
  const tests = contractTests(openLinuxHypervisor);
  const failures = [];
  for (const { name, run: carryOut } of tests) {
    const tooLong = sleep(TEST_LIMIT_MS, undefined, { ref: false }).then(() => {
      throw new Error(`took longer than ${TEST_LIMIT_MS} ms`);
    });
    tooLong.catch(() => {}); // long after a test that was quicker
    await Promise.race([carryOut(), tooLong]).catch((error) => failures.push(`${name}: ${error.message}`));
  }
  if (tests.length === 0) throw new Error('the suite has no tests');
  if (failures.length > 0) {
    throw new Error(`${failures.length} of ${tests.length} tests failed:\n${failures.join('\n')}`);
  }
  return `${tests.length} tests`;
}
