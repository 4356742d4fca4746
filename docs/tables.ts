import type { Registry } from 'prom-client';
import { z } from 'zod';

/** One property of a schema, as `z.toJSONSchema` tells it. */
interface Field {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  items?: Field;
  properties?: Record<string, Field>;
  required?: string[];
}

/** Markdown; `|` in a cell is escaped. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${' --- |'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

/** Every field of a configuration, with its unit, default and reason. Throws where a field does not say what it is for. */
export function configTable(schema: z.ZodType, at = ''): string {
  const root = z.toJSONSchema(schema, { io: 'input' }) as Field;
  const rows = Object.entries(root.properties ?? {}).flatMap(([name, field]) =>
    rowsOf(`${at}${name}`, field, root.required?.includes(name) ?? false),
  );
  return table(['field', 'type', 'default', 'what it is for'], rows);
}

function rowsOf(path: string, field: Field, required: boolean): string[][] {
  const inner = field.items?.properties === undefined ? field : field.items;
  const prefix = inner === field ? `${path}.` : `${path}[].`;
  const nested = Object.entries(inner.properties ?? {}).flatMap(([name, each]) =>
    rowsOf(prefix + name, each, inner.required?.includes(name) ?? false),
  );
  if (nested.length > 0 && field.type === 'object') return nested;
  if (field.description === undefined) throw new Error(`${path}: its schema has no description`);
  const fallback = required ? '(required)' : code(JSON.stringify(field.default));
  // `<` would begin a tag in Markdown.
  return [[code(path), typeOf(path, field), fallback, field.description.replaceAll('<', '\\<')], ...nested];
}

/** The unit ends the name; what has none is a count. */
function typeOf(path: string, { type = '', enum: choices, minimum, maximum }: Field): string {
  if (choices !== undefined) return choices.map((choice) => code(String(choice))).join(', ');
  if (type !== 'integer') return type === 'array' ? 'list' : type;
  return `${unitOf(path)}${boundsOf(minimum, maximum)}`;
}

function unitOf(path: string): string {
  if (path.endsWith('Ms')) return 'ms';
  if (path.endsWith('Bytes')) return 'bytes';
  if (path.endsWith('PerSecond')) return 'per second';
  return path.endsWith('port') ? 'port' : 'count';
}

function boundsOf(minimum: number | undefined, maximum: number | undefined): string {
  // zod bounds every integer by what a double holds.
  const top = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? null : maximum;
  if (minimum !== undefined && top !== null) return `, ${minimum} to ${top}`;
  return minimum === undefined ? '' : `, at least ${minimum}`;
}

/** What a registry has; label names in `common` are called by that word. */
export function metricsTable(
  registry: Registry,
  take: (name: string) => boolean,
  common: { labels: readonly string[]; word: string },
): string {
  const rows = metricsOf(registry)
    .filter(({ name }) => take(name))
    .map(({ name, type, labelNames, help }) => [code(name), type, labelsText(labelNames, common), sentence(help)]);
  return table(['metric', 'type', 'labels', 'meaning'], rows);
}

interface Metric {
  name: string;
  help: string;
  type: string;
  labelNames: string[];
}

function metricsOf(registry: Registry): Metric[] {
  return registry.getMetricsAsArray() as unknown as Metric[];
}

function labelsText(names: readonly string[], common: { labels: readonly string[]; word: string }): string {
  if (names.length === 0) return '';
  return names.join() === common.labels.join() ? common.word : names.map(code).join(', ');
}

const sentence = (text: string): string => (text.endsWith('.') ? text : `${text}.`);
const code = (text: string): string => `\`${text}\``;
