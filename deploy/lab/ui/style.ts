/** Colours, widths and numbers for people. */

export interface Style {
  colour: boolean;
  tty: boolean;
  /** Columns of the terminal. */
  width: number;
  height: number;
}

/** What the stream can show; NO_COLOR (no-color.org) and TERM=dumb are respected. */
export function styleOf(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Style {
  const tty = stream.isTTY === true && env.TERM !== 'dumb';
  const colour = tty && (env.NO_COLOR === undefined || env.NO_COLOR === '');
  return { tty, colour, width: stream.columns ?? 100, height: stream.rows ?? 30 };
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;

export function paint(style: Style, code: keyof typeof CODES, text: string): string {
  return style.colour ? `\u001b[${CODES[code]}m${text}\u001b[0m` : text;
}

/** Cuts to a width, with an ellipsis where something is lost. Plain text only. */
export function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  return width <= 1 ? text.slice(0, width) : `${text.slice(0, width - 1)}…`;
}

/** `12.3 kB`: decimal units, three digits. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** `340 ms`, `2.1 s`, `4 min`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 100_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

export interface Column {
  title: string;
  right?: boolean;
  /** Gives way first when the terminal is narrow; the widest of them is cut. */
  flexible?: boolean;
}

/** Aligned lines, the heading first. `decorate` paints a cell after it was cut and padded. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  decorate: (text: string, row: number, column: number) => string = (text) => text,
): string[] {
  const gap = 2;
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...rows.map((row) => (row[index] ?? '').length)),
  );
  let excess = widths.reduce((sum, one) => sum + one, 0) + gap * (columns.length - 1) - width;
  while (excess > 0) {
    const widest = columns
      .map((column, index) => ({ index, size: column.flexible === true ? (widths[index] ?? 0) : 0 }))
      .reduce((a, b) => (b.size > a.size ? b : a));
    if (widest.size <= 8) break;
    widths[widest.index] = widest.size - 1;
    excess--;
  }
  const line = (cells: readonly string[], row: number): string =>
    columns
      .map((column, index) => {
        const size = widths[index] ?? 0;
        const text = shorten(cells[index] ?? '', size);
        const padded =
          column.right === true ? text.padStart(size) : index === columns.length - 1 ? text : text.padEnd(size);
        return decorate(padded, row, index);
      })
      .join(' '.repeat(gap))
      .trimEnd();
  return [
    line(
      columns.map((column) => column.title),
      -1,
    ),
    ...rows.map((row, index) => line(row, index)),
  ];
}
