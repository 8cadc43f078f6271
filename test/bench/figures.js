/** Figures of one run: their ratios hold beyond it, the figures themselves for one machine at one moment only. */

/** `part`: 0.99, say. */
export const percentile = (values, part) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * part)];

export const median = (values) => percentile(values, 0.5);

const NAME_WIDTH = 52;

/** A line of a table; numbers as ms with two digits. */
export function printRow(name, cells) {
  const texts = cells.map((cell) => (typeof cell === 'number' ? cell.toFixed(2) : cell).padStart(10));
  console.log(`${name.padEnd(NAME_WIDTH)} ${texts.join('')}`);
}

/** A table's head: what is measured, against what, and the names of its columns. */
export function printHead(lines, columns) {
  console.log(lines.join('\n'));
  printRow('', columns);
}
