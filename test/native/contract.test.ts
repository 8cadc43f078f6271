import { describe, expect } from 'vitest';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { describeHypervisor } from '../contract/hypervisor.ts';
import { held, NOTHING, named, openDomain, SKIP_REASON, serveStore, settleSockets } from './stand-in.ts';

describe.skipIf(SKIP_REASON)(named('the contract of hypervisors'), () => {
  describeHypervisor('Linux devices', async () => {
    const machine = new EmulatedMachine();
    const { domid } = machine.createDomain();
    const store = await serveStore(machine);
    const frontend = await openDomain(domid);
    const backend = await openDomain(0);
    return {
      frontend,
      frontendDomid: domid,
      backend,
      backendDomid: 0,
      scratch: `/local/domain/${domid}/data/scratch`,
      settle: () => settleSockets(machine),
      loseXenStore: () => store.drop(),
      teardown: async () => {
        await frontend.close();
        await backend.close();
        await store.close();
        await machine.settle();
        machine.assertCleanedUp();
        await machine.close();
        expect(held()).toEqual(NOTHING);
      },
    };
  });
});
