// biome-ignore lint/suspicious/noControlCharactersInRegex: a colour code starts with ESC.
const COLOUR = /\u001b\[[0-9;]*m/g;

/** Columns that a reader sees: colour codes take none. */
export function visibleWidth(text: string): number {
  return text.replace(COLOUR, '').length;
}

/** Rows as aligned columns, three spaces apart, each line ended; the last column is not padded. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => visibleWidth(line[column] ?? ''))));
  return lines.map((line) => `${padded(line, widths)}\n`).join('');
}

function padded(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - visibleWidth(cell))))
    .join('   ')
    .trimEnd();
}

/** The count with its noun: `1 object`, `3 objects`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
