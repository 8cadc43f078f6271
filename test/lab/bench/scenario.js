// In Dom0: a backend that is counted, and a guest that plays into it in both ways, period by period in turn.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { Backend } from '../../../dist/backend/backend.js';
import { openLinuxHypervisor } from '../../../dist/xen/linux/hypervisor.js';
import { jsonLines } from '../dom0/lab.js';
import { countingDevice, countingHypervisor, Meter } from './counting.js';

const SHARE = '/mnt';
const RATE = 48_000;
const FRAME_BYTES = 4;
const SOUND = '/tmp/sound.raw';
const NOTHING = '/tmp/nothing.raw';
const PROFILE = '/tmp/profile';
const STARTUP_LIMIT_MS = 60_000;

const { bench } = JSON.parse(readFileSync(`${SHARE}/plan.json`, 'utf8'));
const limitMs = STARTUP_LIMIT_MS + bench.seconds * 3000;

const player = (what) =>
  `/vsnd/test/lab/bench/play.js '${JSON.stringify({ rate: RATE, file: SOUND, ...what })}'`;

/** With the process's CPU seconds as the last line. busybox's time knows hundredths. */
const aplay = (file, { periodFrames, bufferFrames }) =>
  `time -f 'cpu %U %S' aplay -D hw:0,0 -t raw -f S16_LE -c 2 -r ${RATE} ` +
  `--period-size=${periodFrames} --buffer-size=${bufferFrames} ${file}`;

async function playOurs(guest, what) {
  return jsonLines(await guest.run(`node ${player(what)}`, { limitMs }), 'played')[0];
}

async function measureOurs(guest, sizes) {
  const startup = await playOurs(guest, { ...sizes, file: NOTHING });
  const played = await playOurs(guest, sizes);
  const { periodFrames, bufferFrames, frames, cpu, turns, underruns } = played;
  const expected = { ...sizes, frames: bench.seconds * RATE };
  for (const [name, value] of Object.entries({ periodFrames, bufferFrames, frames })) {
    if (value !== expected[name]) throw new Error(`vsnd played with ${name} of ${value}`);
  }
  return { cpu: cpu - startup.cpu, turns: turns / bench.seconds, underruns };
}

async function measureTheirs(guest, sizes) {
  await guest.run('sh /vsnd/test/lab/guest/kernel-driver.sh load');
  try {
    const startup = cpuSeconds(await guest.run(aplay(NOTHING, sizes), { limitMs }));
    // It may give up after an underrun: worth a note, and the other periods' figures.
    const { status, output } = await guest.try(aplay(SOUND, sizes), { limitMs });
    const underruns = output.match(/^underrun!!!/gm)?.length ?? 0;
    const failure = status === 0 ? undefined : (/^aplay: .*/m.exec(output)?.[0] ?? `status ${status}`);
    return { cpu: cpuSeconds(output) - startup, underruns, failure };
  } finally {
    await guest.run('sh /vsnd/test/lab/guest/kernel-driver.sh unload');
  }
}

function cpuSeconds(output) {
  const [, user, system] = /^cpu ([\d.]+) ([\d.]+)$/m.exec(output) ?? [];
  if (user === undefined) throw new Error(`no CPU time in:\n${output}`);
  return Number(user) + Number(system);
}

/** Plays once more under Node's profiler; the profile leaves the guest by its console. */
async function profile(guest, sizes) {
  const recording = `node --cpu-prof --cpu-prof-dir=${PROFILE} ${player(sizes)} > /dev/null`;
  const sending = `gzip -c ${PROFILE}/* | base64; rm -r ${PROFILE}`;
  const packed = await guest.run(`${recording} && { ${sending}; }`, { limitMs });
  const file = `${SHARE}/period-${sizes.periodFrames}.cpuprofile`;
  writeFileSync(file, gunzipSync(Buffer.from(packed, 'base64')));
}

export async function run(lab) {
  const meter = new Meter();
  const hypervisor = countingHypervisor(await openLinuxHypervisor(), meter);
  const backend = await Backend.start(hypervisor, {
    deviceFor: ({ frontendDomid }) => countingDevice(hypervisor.clock, frontendDomid, meter),
    log: (line) => console.log(line),
  });
  try {
    const guest = await lab.guest();
    const bytes = bench.seconds * RATE * FRAME_BYTES;
    await guest.run(`node /vsnd/test/lab/guest/make-noise.js 1 ${bytes} ${SOUND}; : > ${NOTHING}`);
    const measure = async (who, sizes, measureProcess) => {
      const process = await measureProcess(guest, sizes);
      const { guestCpu, ...counts } = meter.measured;
      const rates = Object.entries(counts).map(([name, count]) => [name, count / bench.seconds]);
      return { who, period: sizes.periodFrames, ...process, guestCpu, ...Object.fromEntries(rates) };
    };
    for (let round = 0; round < bench.rounds; round++) {
      for (const sizes of bench.sizes) {
        const ours = await measure('vsnd', sizes, measureOurs);
        const theirs = await measure('aplay', sizes, measureTheirs);
        appendFileSync(`${SHARE}/events.jsonl`, `${JSON.stringify({ event: 'measured', ours, theirs })}\n`);
        if (bench.profile && round === 0) await profile(guest, sizes);
      }
    }
  } finally {
    await backend.close();
    await hypervisor.close();
  }
}
