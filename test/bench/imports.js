// What an import costs, against a program that imports nothing: Node's own floor.
import { median, printHead, printRow } from './figures.js';
import { cpuOf } from './process-cpu.js';

const ENTRIES = {
  vsnd: 'index',
  'vsnd/audio': 'audio',
  'vsnd/speaker': 'speaker',
  'vsnd/testing': 'testing',
};

const importing = (file) => new URL(`../../dist/${file}.js`, import.meta.url).href;
const cpuOfProgram = (text) => cpuOf(['--input-type=module', '--eval', text]);

export async function run({ rounds }) {
  printHead(
    ['CPU ms of a process that imports, and does nothing else; node: one that imports nothing'],
    ['import', 'node', 'ratio'],
  );
  for (const [name, file] of Object.entries(ENTRIES)) {
    const ours = [];
    const floor = [];
    for (let round = 0; round < 2 * rounds; round++) {
      ours.push(await cpuOfProgram(`import '${importing(file)}';`));
      floor.push(await cpuOfProgram(''));
    }
    const ratio = median(ours.map((value, n) => value / floor[n]));
    printRow(`import '${name}'`, [median(ours), median(floor), ratio]);
  }
}
