import type { Row, SuiteResult } from './figures.ts';
import { median, spreadPercent } from './statistics.ts';
import type { Measure, Suite, Target } from './suite.ts';

const BASE = 'haproxy';

/** The median of one figure of one row; NaN when it was not measured. */
export function medianOf(rows: readonly Row[], name: string, measure: string): number {
  return median(rows.find((row) => row.name === name)?.samples[measure] ?? []);
}

/** The figure that a target speaks of, and whether it is met; null when it was not measured. */
export function judge(target: Target, rows: readonly Row[]): { value: number; met: boolean } | null {
  const own = medianOf(rows, target.row, target.measure);
  const value = target.of === null ? own : own / medianOf(rows, target.of, target.measure);
  return Number.isFinite(value) ? { value, met: value <= target.atMost } : null;
}

/** The suite's table as Markdown, its medians with ratios to HAProxy, the widest spread, targets and notes. */
export function renderSuite(suite: Suite, result: SuiteResult): string {
  const head = ['', ...suite.measures.map(({ label }) => label)];
  const rows = result.rows.map((row) => [
    row.name,
    ...suite.measures.map((measure) => cell(measure, row, result.rows)),
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((line) => line[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, column) => (column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  const parts = [`### ${suite.name}: ${suite.title}`, '', line(head), rule, ...rows.map(line), ''];
  for (const target of suite.targets) parts.push(`- ${renderTarget(target, result.rows)}`);
  for (const note of result.notes) parts.push(`- not measured: ${note}`);
  return `${parts.join('\n')}\n`;
}

function renderTarget(target: Target, rows: readonly Row[]): string {
  const judged = judge(target, rows);
  if (judged === null) return `${target.text}: not measured`;
  const value = target.of === null ? format(judged.value, 1) : `${judged.value.toFixed(2)}×`;
  return `${target.text}: ${value}, ${judged.met ? 'met' : 'MISSED'}`;
}

function cell(measure: Measure, row: Row, rows: readonly Row[]): string {
  const samples = row.samples[measure.key] ?? [];
  const value = median(samples);
  if (!Number.isFinite(value)) return '-';
  const base = medianOf(rows, BASE, measure.key);
  const ratio = measure.ratio && Number.isFinite(base) && base !== 0 ? ` (${(value / base).toFixed(2)}×)` : '';
  return `${format(value, measure.digits)} ±${spreadPercent(samples).toFixed(0)}%${ratio}`;
}

function format(value: number, digits: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The same as the table, with every sample. */
export function suiteJson(suite: Suite, result: SuiteResult): object {
  return {
    name: suite.name,
    title: suite.title,
    rows: result.rows.map(({ name, samples }) => ({
      name,
      medians: Object.fromEntries(Object.entries(samples).map(([key, values]) => [key, median(values)])),
      samples,
    })),
    targets: suite.targets.map((target) => ({ ...target, ...judge(target, result.rows) })),
    notes: result.notes,
  };
}
