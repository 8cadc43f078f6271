/** `; did you mean 'record'?`, where one of `words` is likely to be what `word` was to be; else nothing. */
export function didYouMean(word: string, words: readonly string[]): string {
  const most = word.replace(/^-+/, '').length < 5 ? 1 : 2;
  const [nearest] = words
    .map((known) => ({ known, edits: editsBetween(word, known) }))
    .filter(({ known, edits }) => edits <= most && edits < known.length)
    .sort((one, other) => one.edits - other.edits);
  return nearest ? `; did you mean '${nearest.known}'?` : '';
}

/** Letters to put in, take away, change, or swap with the next one: the edit distance with neighbours swapped. */
function editsBetween(from: string, to: string): number {
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let i = 1; i <= from.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      row[j] = Math.min(
        at(above, j) + 1,
        at(row, j - 1) + 1,
        at(above, j - 1) + (isSame ? 0 : 1),
        isSwapped ? at(before, j - 2) + 1 : Infinity,
      );
    }
    before = above;
  }
  return at(row, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
