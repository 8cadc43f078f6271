// `vsnd doctor` in a guest where sound can play, and in four where it cannot: it says which, and how to fix it.
import { withGrantLimit } from '../dom0/guest-limits.js';

const DOCTOR = 'node /vsnd/dist/cli/main.js doctor --json';

export async function run(lab) {
  const backend = await lab.backend('--sink', 'null');
  const guest = await lab.guest();
  await expectHealth(guest);

  await guest.run('mv /dev/xen/gntalloc /dev/xen/hidden');
  await expectProblem(guest, 'gntalloc');
  await guest.run('mv /dev/xen/hidden /dev/xen/gntalloc');

  await withGrantLimit(guest, 16, () => expectProblem(guest, 'pages'));

  await guest.run('sh /vsnd/test/lab/guest/kernel-driver.sh load');
  await expectProblem(guest, 'kernel-driver');
  await expectHealth(guest, '--release');
  await guest.run('sh /vsnd/test/lab/guest/kernel-driver.sh unload');

  await backend.stop();
  await expectProblem(guest, 'backend');

  await lab.backend('--sink', 'null');
  await expectHealth(guest);
}

/** Sound can play: status 0, and nothing to fix. */
async function expectHealth(guest, option = '') {
  const output = await guest.run(`${DOCTOR} ${option}`);
  const problems = findings(output).filter(({ status }) => status === 'problem');
  if (problems.length > 0) throw new Error(`status 0, and yet a problem:\n${output}`);
}

/** This check, before all others, has found something, and says what to do. */
async function expectProblem(guest, check) {
  const { status, output } = await guest.try(DOCTOR);
  const problem = findings(output).find((finding) => finding.status === 'problem');
  if (status === 0 || problem?.check !== check || !problem.fix) {
    throw new Error(`expected a problem of '${check}', status ${status}:\n${output}`);
  }
}

function findings(output) {
  return JSON.parse(output.slice(output.indexOf('[')));
}
