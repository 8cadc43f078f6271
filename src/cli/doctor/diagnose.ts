import { ReleaseStack } from '../../release-stack.ts';
import {
  checkBackend,
  checkOwner,
  checkPages,
  checkQuota,
  connect,
  findCard,
  openDomain,
  readConfiguration,
} from './card-checks.ts';
import { checkKernelDriver } from './kernel-driver.ts';
import { checkNode, examineLinux } from './machine-checks.ts';
import type { Report } from './report.ts';
import type { System } from './system.ts';

export interface DiagnoseOptions {
  /** The card's devid; by default the guest's first. */
  readonly card?: number | undefined;
  /** Whether to take the card from a driver of the kernel's. */
  readonly release: boolean;
  /** Whether to try if the backend connects. */
  readonly connect: boolean;
}

/** Makes every check that `system` admits, from the machine to the sound card. Nothing is left behind. */
export async function diagnose(
  report: Report,
  { node, linux, openHypervisor }: System,
  options: DiagnoseOptions,
  signal: AbortSignal,
): Promise<void> {
  const releases = new ReleaseStack();
  try {
    await report.check('node', () => checkNode(node));
    const machine = linux && (await examineLinux(report, linux));
    const domain = await report.check(
      'xenstore',
      () => {
        machine?.xenbus.need();
        machine?.addon.need();
        return openDomain(openHypervisor, releases);
      },
      'see to xenstored in Dom0',
    );
    const card = await report.check('card', () => findCard(domain.need(), options.card));
    const driver =
      linux &&
      (await report.check(
        'kernel-driver',
        () => checkKernelDriver(linux.sys, card.need().devid, options.release),
        'run vsnd doctor --release as root',
      ));
    const owner = await report.check(
      'owner',
      () => {
        driver?.need();
        return checkOwner(domain.need(), card.need().devid);
      },
      'end that process: a card has one owner',
    );
    const configuration = await report.check(
      'configuration',
      () => readConfiguration(domain.need(), card.need().devid),
      "correct it in the guest's xl.cfg, and restart the guest",
    );
    const quota = await report.check(
      'quota',
      () => checkQuota(domain.need(), configuration.need().info),
      "free nodes and watches in this guest's XenStore, or raise its quota in Dom0",
    );
    if (linux && machine) {
      await report.check('pages', () => {
        machine.gntalloc.need();
        return checkPages(linux.sys, configuration.need().info);
      });
    }
    const backend = await report.check('backend', () =>
      checkBackend(domain.need(), configuration.need().info),
    );
    if (!options.connect) return;
    await report.check(
      'connection',
      () => {
        for (const needed of [machine?.evtchn, machine?.gntalloc, owner, quota, backend]) needed?.need();
        return connect(domain.need(), card.need().devid, signal);
      },
      "see whether a backend runs in the backend's domain, and what its log says",
    );
  } finally {
    await releases.releaseAll();
  }
}
