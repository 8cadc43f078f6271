// A guest, its sound card, and the line to it: commands typed on its console.
import { execFile } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReadStream } from 'node:tty';
import { promisify } from 'node:util';

const run = promisify(execFile);
const XL_LIMIT_MS = 120_000;
/** An HVM guest takes more than a minute of it: for its BIOS, and for unpacking its disk. */
const BOOT_LIMIT_MS = 300_000;
const COMMAND_LIMIT_MS = 60_000;

/** Xen for arm64 has no other. */
const USUAL_TYPE = process.arch === 'x64' ? 'pv' : 'pvh';

const GUEST_IMAGE = '/tmp/guest.img';

/** What every guest's card is like: two streams for playing, so that both can play at once, and one for recording. */
const cardOf = (backend) => [
  `card, backend=${backend}, short-name=VCard, long-name=Virtual sound card, sample-rates=44100;48000,` +
    ' sample-formats=s16_le;s32_le, channels-min=1, channels-max=2, buffer-size=65536',
  'pcm, name=dev0',
  'stream, unique-id=one, type=P',
  'stream, unique-id=two, type=P',
  'stream, unique-id=mic, type=C',
];

/** libxl's helper is not where Debian has it. */
const XL_ENVIRONMENT = { ...process.env, LIBXL_SAVE_HELPER: '/bin/libxl-save-helper' };

/** Runs Xen's toolstack; resolves with what it said. */
export async function xl(...args) {
  const { stdout } = await run('xl', args, { timeout: XL_LIMIT_MS, env: XL_ENVIRONMENT });
  return stdout;
}

/** The value of a node, as Dom0 sees it. */
export async function xenstoreRead(path) {
  const { stdout } = await run('xenstore-read', [path]);
  return stdout.trim();
}

let guestCount = 0;

/** The kernel and the ramdisk of a guest: a layer's archive goes behind that of every guest. */
function bootFiles(layer) {
  if (layer === undefined) return { kernel: '/mnt/vmlinuz', ramdisk: GUEST_IMAGE };
  const own = `/mnt/${layer}.vmlinuz`;
  const ramdisk = '/tmp/layered.img';
  writeFileSync(ramdisk, Buffer.concat([readFileSync(GUEST_IMAGE), readFileSync(`/mnt/${layer}.img`)]));
  return { kernel: existsSync(own) ? own : '/mnt/vmlinuz', ramdisk };
}

/**
 * Those of an HVM guest, whose BIOS is slow at loading: the ramdisk is small, and unpacks that of every guest from a disk.
 * QEMU 7.2 makes no such disk that can only be read: "Block node is read-only".
 */
async function hvmFiles(layer) {
  await run('sh', ['-c', `cd / && cpio -idu < /mnt/${layer}.img`]);
  return {
    kernel: '/mnt/vmlinuz',
    ramdisk: '/hvm/ramdisk',
    options: [
      'device_model_override="/usr/bin/qemu-xen"',
      'firmware_override="/hvm/hvmloader"',
      'bios_path_override="/hvm/bios.bin"',
      'vga="none"',
      'nographic=1',
      'vnc=0',
      `disk=["format=raw, vdev=xvde, access=rw, backendtype=qdisk, target=${GUEST_IMAGE}"]`,
    ],
  };
}

export class Guest {
  #name;
  #domid;
  #fd;
  #input = '';
  #ready;
  #commands = new Map();
  #commandCount = 0;
  #lost;

  /**
   * Starts a guest with so much memory (MiB), and waits for its shell. The card's backend, in the domain of that name, has to
   * be there; a driver domain has no card, and may be a backend. `type`: xl.cfg's; `layer`: of layers.js, what it has besides.
   */
  static async create({
    type = USUAL_TYPE,
    memory = 1024,
    backend = 'Domain-0',
    isDriverDomain = false,
    layer,
  } = {}) {
    const name = `guest${++guestCount}`;
    const { kernel, ramdisk, options = [] } = type === 'hvm' ? await hvmFiles(layer) : bootFiles(layer);
    const config = [
      `name="${name}"`,
      `type="${type}"`,
      `kernel="${kernel}"`,
      `ramdisk="${ramdisk}"`,
      `memory=${memory}`,
      'vcpus=1',
      'extra="console=hvc0 rdinit=/init quiet mitigations=off"',
      'on_crash="destroy"',
      ...options,
      isDriverDomain
        ? 'driver_domain=1'
        : `vsnd=[[ ${cardOf(backend)
            .map((line) => `'${line}'`)
            .join(', ')} ]]`,
    ];
    writeFileSync(`/tmp/${name}.cfg`, `${config.join('\n')}\n`);
    await xl('create', `/tmp/${name}.cfg`).catch(async (error) => {
      await xl('destroy', name).catch(() => {}); // half a guest would keep the memory of the next one
      throw error;
    });
    const guest = new Guest(name, Number(await xl('domid', name)));
    await guest.#connect();
    return guest;
  }

  constructor(name, domid) {
    this.#name = name;
    this.#domid = domid;
  }

  get name() {
    return this.#name;
  }

  get domid() {
    return this.#domid;
  }

  get alive() {
    return this.#lost === undefined;
  }

  /** Carries out a shell command; resolves with its output. Rejects where it fails, saying what it said. */
  async run(command, options = {}) {
    const { status, output } = await this.try(command, options);
    if (status !== 0) throw new Error(`in the guest, '${command}' ended with ${status}:\n${output}`);
    return output;
  }

  /** The same, with the status for the caller to judge. `onLine` hears each line when it comes. */
  try(command, { limitMs = COMMAND_LIMIT_MS, onLine = () => {} } = {}) {
    if (this.#lost) return Promise.reject(this.#lost);
    const id = ++this.#commandCount;
    return new Promise((resolve, reject) => {
      const lines = [];
      const timer = setTimeout(() => {
        this.#commands.delete(id);
        reject(new Error(`in the guest, '${command}' took longer than ${limitMs} ms:\n${lines.join('\n')}`));
      }, limitMs);
      const settle = (act) => {
        clearTimeout(timer);
        this.#commands.delete(id);
        act();
      };
      this.#commands.set(id, {
        line: (text) => {
          const status = /^=(\d+)$/.exec(text)?.[1];
          if (status !== undefined) {
            settle(() => resolve({ status: Number(status), output: lines.join('\n') }));
          } else {
            lines.push(text);
            onLine(text);
          }
        },
        fail: (error) => settle(() => reject(error)),
      });
      writeSync(this.#fd, `${id} ${command}\n`);
    });
  }

  /** `xl save`, `xl restore`: the guest goes on with another domid, and what it carries out with it. */
  async saveAndRestore() {
    const file = `/tmp/${this.#name}.save`;
    await xl('save', String(this.#domid), file);
    closeSync(this.#fd);
    await xl('restore', file);
    rmSync(file);
    this.#domid = Number(await xl('domid', this.#name));
    await this.#openConsole();
  }

  /** Takes the guest away, whatever it does. Commands under way are rejected. */
  async destroy() {
    if (this.#lost) return;
    this.#lost = new Error('the guest was destroyed');
    for (const { fail } of this.#commands.values()) fail(this.#lost);
    await xl('destroy', String(this.#domid));
  }

  async #connect() {
    const ready = new Promise((resolve) => {
      this.#ready = resolve;
    });
    await this.#openConsole();
    const tooLate = sleep(BOOT_LIMIT_MS, undefined, { ref: false }).then(() => {
      const log = readFileSync(`/mnt/console/guest-${this.#name}.log`, 'latin1').trim();
      throw new Error(`the guest did not start; its last lines:\n${log.split('\n').slice(-5).join('\n')}`);
    });
    await Promise.race([ready, tooLate]);
  }

  async #openConsole() {
    const tty = await xenstoreRead(`/local/domain/${this.#domid}/console/tty`);
    this.#fd = openSync(tty, 'r+');
    const console = new ReadStream(openSync(tty, 'r+'));
    console.setRawMode(true);
    console.unref();
    console.on('error', () => {}); // the domain is gone: destroyed, or restored with another console
    console.on('data', (bytes) => this.#receive(bytes.toString('latin1')));
  }

  #receive(text) {
    const lines = (this.#input + text).split(/\r?\n/);
    this.#input = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '@ready') this.#ready();
      const [, id, rest] = /^@(\d+) (.*)$/.exec(line) ?? [];
      this.#commands.get(Number(id))?.line(rest);
    }
  }
}
