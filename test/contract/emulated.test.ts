import { MessageChannel } from 'node:worker_threads';
import { RealClock } from '../../src/clock.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { connectDomain, serveDomain } from '../../src/xen/emulated/remote.ts';
import { describeHypervisor } from './hypervisor.ts';

describeHypervisor('an emulated machine', async () => {
  const machine = new EmulatedMachine();
  const frontend = machine.createDomain();
  return {
    frontend,
    frontendDomid: frontend.domid,
    backend: machine.dom0,
    backendDomid: 0,
    scratch: `/local/domain/${frontend.domid}/data/scratch`,
    settle: () => machine.settle(),
    loseXenStore: () => machine.faults.closeXenStore(frontend.domid),
    teardown: async () => {
      await machine.settle();
      machine.assertCleanedUp();
      await machine.close();
    },
  };
});

describeHypervisor('an emulated machine whose backend is behind a MessagePort', async () => {
  const machine = new EmulatedMachine();
  const frontend = machine.createDomain();
  const { port1, port2 } = new MessageChannel();
  serveDomain(machine.dom0, port1);
  const backend = await connectDomain(port2, { clock: new RealClock() });
  return {
    frontend,
    frontendDomid: frontend.domid,
    backend,
    backendDomid: 0,
    scratch: `/local/domain/${frontend.domid}/data/scratch`,
    settle: async () => {
      // One round trip: what the backend's side has posted is then known to the machine.
      await backend.mapper.map(0xffff, [1]).catch(() => {});
      await machine.settle();
    },
    teardown: async () => {
      await machine.settle();
      machine.assertCleanedUp();
      await backend.close();
      await machine.close();
    },
  };
});

describeHypervisor('an emulated machine whose frontend is behind a MessagePort', async () => {
  const machine = new EmulatedMachine();
  const { domid } = machine.createDomain();
  const { port1, port2 } = new MessageChannel();
  serveDomain(machine.startProcess(domid), port1);
  const frontend = await connectDomain(port2, { clock: new RealClock() });
  return {
    frontend,
    frontendDomid: domid,
    backend: machine.dom0,
    backendDomid: 0,
    scratch: `/local/domain/${domid}/data/scratch`,
    settle: async () => {
      await frontend.mapper.map(0xffff, [1]).catch(() => {});
      await machine.settle();
    },
    loseXenStore: () => machine.faults.closeXenStore(domid),
    teardown: async () => {
      await machine.settle();
      machine.assertCleanedUp();
      await frontend.close();
      await machine.close();
    },
  };
});
