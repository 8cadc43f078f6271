// One boot of Xen under QEMU: starts it, follows what Dom0 reports through the shared folder, and ends it.
import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

const POLL_MS = 200;
const AUTOGROUP_NICE = -10;
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** A tenth of the time: what is emulated has none of these faults. */
const NO_MITIGATIONS = 'mitigations=off';
/** Where QEMU's guest-loader puts Dom0's kernel and ramdisk on arm64. */
const ARM_KERNEL = '0x50000000';
const ARM_RAMDISK = '0x54000000';

/**
 * Boots with `plan` for Dom0 and yields what it reports, until it is done. Throws where the machine dies or
 * `limitMs` passes. `folder` keeps the serial console (console.log) and the shared folder (share);
 * `layers` of guests are put there.
 */
export async function* boot({ arch, emulator, images, layers = [], plan, folder, limitMs }) {
  const share = join(folder, 'share');
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(share, 'console'), { recursive: true });
  await copyFile(images.kernel, join(share, 'vmlinuz'));
  await copyFile(images.guest, join(share, 'guest.img'));
  for (const { name, image, kernel } of layers) {
    await copyFile(image, join(share, `${name}.img`));
    if (kernel) await copyFile(kernel, join(share, `${name}.vmlinuz`));
  }
  await writeFile(join(share, 'plan.json'), JSON.stringify(plan));
  await writeFile(join(share, 'events.jsonl'), '');
  const options = await (arch === 'arm64' ? arm64Machine : x86Machine)(folder, share, images, plan);
  const log = openSync(join(folder, 'console.log'), 'w');
  const qemu = spawn(emulator.command, [...emulator.args, ...options], {
    stdio: ['ignore', log, log],
    env: emulator.env,
    detached: true, // a session of its own, and with it an autogroup
  });
  const ended = new Promise((resolve) => qemu.once('exit', resolve).once('error', resolve));
  const release = endWithUs(qemu);
  favour(qemu);
  try {
    yield* follow(join(share, 'events.jsonl'), join(folder, 'console.log'), qemu, Date.now() + limitMs);
  } finally {
    qemu.kill('SIGKILL');
    await ended;
    release();
  }
}

/** What ends this process ends QEMU, which is in another session: nobody else would. Returns how to forget that. */
function endWithUs(qemu) {
  const end = (signal) => {
    qemu.kill('SIGKILL');
    release();
    process.kill(process.pid, signal);
  };
  const release = () => {
    for (const signal of ENDING_SIGNALS) process.off(signal, end);
  };
  for (const signal of ENDING_SIGNALS) process.on(signal, end);
  return release;
}

/** Gives QEMU's session the better part of a busy machine, where the kernel has autogroups and we may. */
function favour(qemu) {
  try {
    writeFileSync(`/proc/${qemu.pid}/autogroup`, String(AUTOGROUP_NICE));
  } catch {}
}

async function* follow(events, log, qemu, deadline) {
  for (let seen = 0; ; ) {
    // Once ended nothing more is written: look at that before the file.
    const ended = qemu.exitCode !== null || qemu.pid === undefined;
    const lines = readFileSync(events, 'utf8').split('\n').slice(0, -1);
    for (; seen < lines.length; seen++) {
      const event = JSON.parse(lines[seen]);
      if (event.event === 'done') return;
      if (event.event === 'failed') throw new Error('Dom0 could not carry out the plan');
      yield event;
    }
    if (ended) throw new Error(`the machine ended: ${lastLine(log)}`);
    if (Date.now() > deadline) throw new Error(`the machine took too long; its last line: ${lastLine(log)}`);
    await sleep(POLL_MS);
  }
}

async function x86Machine(folder, share, { hypervisor, kernel, dom0 }, plan) {
  // QEMU's multiboot loader wants the plain ELF file.
  const elf = join(folder, 'xen.elf');
  await writeFile(elf, gunzipSync(readFileSync(hypervisor)));
  return [
    // No AVX and no lazily saved registers: less for the emulation to get wrong, and faster.
    // Without -smap QEMU 7.2 kills a PV kernel at once: it applies SMAP to IRET from ring 3.
    // Without -rdtscp a PVH guest dies at its first: QEMU tells Xen of an RDTSC, and Xen will not carry out what is none.
    ...['-machine', 'q35', '-cpu', 'max,-smap,-la57,-xsave,-rdtscp', '-m', '4096', ...COMMON],
    ...['-virtfs', `local,path=${share},mount_tag=share,security_model=none`],
    ...['-kernel', elf],
    '-append',
    'dom0_mem=2048M,max:2048M dom0_max_vcpus=2 com1=115200,8n1 console=com1 noreboot sched=credit' +
      ' spec-ctrl=no-xen,eager-fpu',
    '-initrd',
    `${kernel} console=hvc0 rdinit=/init loglevel=5 ${NO_MITIGATIONS} xenstore=${plan.xenstore},${dom0}`,
  ];
}

async function arm64Machine(_folder, share, { hypervisor, kernel, dom0 }, plan) {
  const bootargs = `console=hvc0 rdinit=/init loglevel=5 ${NO_MITIGATIONS} xenstore=${plan.xenstore}`;
  return [
    ...['-machine', 'virt,virtualization=on,gic-version=3', '-cpu', 'cortex-a57', '-m', '3072', ...COMMON],
    ...['-fsdev', `local,id=fs0,path=${share},security_model=none`],
    ...['-device', 'virtio-9p-device,fsdev=fs0,mount_tag=share'],
    ...['-kernel', hypervisor],
    '-append',
    'dom0_mem=1024M,max:1024M dom0_max_vcpus=2 console=dtuart noreboot sched=credit bootscrub=0',
    ...['-device', `guest-loader,addr=${ARM_KERNEL},kernel=${kernel},bootargs=${bootargs}`],
    ...['-device', `guest-loader,addr=${ARM_RAMDISK},initrd=${dom0}`],
  ];
}

const COMMON = [
  ...['-accel', 'tcg,thread=multi', '-smp', '2', '-no-reboot', '-net', 'none'],
  ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio'],
];

function lastLine(log) {
  return existsSync(log) ? (readFileSync(log, 'utf8').trim().split('\n').at(-1) ?? '').trim() : '';
}
