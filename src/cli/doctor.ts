import { parseCommandLine, parseIndex, UsageError } from './arguments.ts';
import { type DiagnoseOptions, diagnose } from './doctor/diagnose.ts';
import { type Finding, Report } from './doctor/report.ts';
import { emulatedMachine, thisMachine } from './doctor/system.ts';
import type { Terminal } from './terminal.ts';

const LABELS = { ok: 'OK', problem: 'problem', skipped: 'skipped' } as const;
const LABEL_WIDTH = 9;
const CHECK_WIDTH = 15;

/** `vsnd doctor`: says what keeps sound from playing here. Resolves with true where nothing does. */
export async function doctor(args: string[], terminal: Terminal, signal: AbortSignal): Promise<boolean> {
  const { emulate, json, ...options } = parseDoctorOptions(args);
  const report = new Report(signal, json ? undefined : (finding) => terminal.say(describeFinding(finding)));
  await diagnose(report, emulate ? emulatedMachine() : thisMachine(), options, signal);
  terminal.say(json ? JSON.stringify(report.findings, null, 2) : summarize(report.problems));
  return report.problems === 0;
}

function parseDoctorOptions(args: string[]): DiagnoseOptions & { emulate: boolean; json: boolean } {
  const { values } = parseCommandLine(
    'doctor',
    args,
    {
      card: { type: 'string' },
      release: { type: 'boolean' },
      'no-connect': { type: 'boolean' },
      emulate: { type: 'boolean' },
      json: { type: 'boolean' },
    },
    { takesFile: false },
  );
  const { release = false, emulate = false, json = false } = values;
  if (release && emulate) {
    throw new UsageError(
      '--release is not for an emulated machine: it has no driver of the kernel',
      'doctor',
    );
  }
  const card = parseIndex('doctor', '--card', values.card);
  return { card, release, connect: !values['no-connect'], emulate, json };
}

/** A line, and one more where something can be done; whatever XenStore has in it. */
export function describeFinding({ check, status, message, mend }: Finding): string {
  const lines = [LABELS[status].padEnd(LABEL_WIDTH) + check.padEnd(CHECK_WIDTH) + message];
  if (mend !== undefined) lines.push(' '.repeat(LABEL_WIDTH + CHECK_WIDTH) + mend);
  return lines.map((line) => line.replace(/\p{Cc}/gu, '?')).join('\n');
}

function summarize(problems: number): string {
  if (problems === 0) return 'No problem was found.';
  return `${problems} ${problems === 1 ? 'problem was' : 'problems were'} found; see docs/doctor.md.`;
}
