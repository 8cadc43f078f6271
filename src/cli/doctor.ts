import { parseIndex, UsageError } from './arguments.ts';
import { defineCommand } from './command.ts';
import { CARD } from './common-options.ts';
import { diagnose } from './doctor/diagnose.ts';
import { type Finding, Report } from './doctor/report.ts';
import { emulatedMachine, thisMachine } from './doctor/system.ts';
import { inLine } from './messages.ts';

const LABELS = { ok: 'OK', warning: 'warning', problem: 'problem', skipped: 'skipped' } as const;
const LABEL_WIDTH = 9;
const CHECK_WIDTH = 15;

/** `vsnd doctor`: says what keeps sound from playing here, which is then no success. */
export const doctor = defineCommand({
  name: 'doctor',
  summary: 'say what keeps sound from playing here',
  description: [
    `Checks everything that this guest needs to play through its virtual sound card, and says how to fix each
    problem. Connects to the card's backend at the end, where no process has the card. The exit status is 0
    only where sound can play.`,
  ],
  options: {
    card: CARD,
    release: { help: "take the card from the kernel's own driver, as root" },
    'no-connect': { help: 'do not connect to the backend' },
    json: { help: 'print JSON: an array of { check, status, message, fix }' },
    emulate: { help: 'examine a guest of an emulated Xen machine' },
  },
  examples: {
    'vsnd doctor': 'what is missing here, and what to do about it',
    'sudo vsnd doctor --release': "the same, where the kernel's driver may have the card",
    'vsnd doctor --emulate --json': 'what is looked at on a machine without faults, for a program',
  },
  run: async ({ values }, { terminal, signal }) => {
    const { release = false, emulate, json } = values;
    if (release && emulate) {
      throw new UsageError('--release is not for an emulated machine: it has no driver of the kernel');
    }
    const options = { card: parseIndex('--card', values.card), release, connect: !values['no-connect'] };
    const report = new Report(signal, json ? undefined : (finding) => terminal.say(describeFinding(finding)));
    await diagnose(report, emulate ? emulatedMachine() : thisMachine(), options, signal);
    terminal.say(json ? JSON.stringify(report.findings, null, 2) : summarize(report.problems));
    return report.problems === 0;
  },
});

/** A line, and one more where something can be done; whatever XenStore has in it. */
export function describeFinding({ check, status, message, fix }: Finding): string {
  const lines = [LABELS[status].padEnd(LABEL_WIDTH) + check.padEnd(CHECK_WIDTH) + message];
  if (fix !== undefined) lines.push(' '.repeat(LABEL_WIDTH + CHECK_WIDTH) + fix);
  return lines.map(inLine).join('\n');
}

function summarize(problems: number): string {
  if (problems === 0) return 'No problem was found.';
  return `${problems} ${problems === 1 ? 'problem was' : 'problems were'} found; see vsnd help doctor.md.`;
}
