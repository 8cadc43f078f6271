// What a program costs before it does anything, over Node's own floor.
import { median, printHead, printRow } from './figures.js';
import { cpuOf, pathOf } from './process-cpu.js';

const MAIN = pathOf('../../dist/cli/main.js');
const INDEX = new URL('../../dist/index.js', import.meta.url).href;

const PROGRAMS = [
  { name: "import 'vsnd'", args: ['--input-type=module', '--eval', `import '${INDEX}'`], aim: '<= 20' },
  { name: 'vsnd --version', args: [MAIN, '--version'], aim: '' },
  { name: 'vsnd list --emulate', args: [MAIN, 'list', '--emulate'], aim: '' },
];

export async function run({ rounds }) {
  printHead(
    ['CPU ms of a whole process, and what of it is above that of a Node that runs nothing'],
    ['vsnd', 'node', 'above', 'aim'],
  );
  for (const { name, args, aim } of PROGRAMS) {
    const [ours, floor] = [[], []];
    for (let round = 0; round < 2 * rounds; round++) {
      ours.push(await cpuOf(args));
      floor.push(await cpuOf(['--input-type=module', '--eval', '']));
    }
    const above = median(ours.map((value, n) => value - floor[n]));
    printRow(name, [median(ours), median(floor), above, aim]);
  }
}
