import { stringify } from 'yaml';
import { KINDS, type Kind } from '../api/kinds.ts';
import { type Arguments, atMost, parseArguments } from './arguments.ts';
import { columnsOf, conditionsOf, statusCell } from './columns.ts';
import type { Context, Verb } from './context.ts';
import { CliError, EXIT, usageError } from './errors.ts';
import { callJson } from './http.ts';
import { kindNamed, namesOf } from './kinds.ts';
import { type MeshObject, OBJECTS_REPLY } from './responses.ts';
import { table } from './table.ts';
import { findTarget } from './target.ts';

const OPTIONS = {
  namespace: { type: 'string', short: 'n' },
  'all-namespaces': { type: 'boolean', short: 'A' },
  output: { type: 'string', short: 'o' },
} as const;

export const GET: Verb = {
  name: 'get',
  summary: 'show objects, with their status',
  help: `Usage: aquifer get KIND [NAME] [-n NAMESPACE | -A] [-o table|yaml|json]

Shows what the mesh knows. A policy's conditions tell whether it was accepted, whether what it names exists, and on
how many nodes it is in force; with a NAME each condition is shown with its reason.

Options:
  -n, --namespace NAME   default: "default"
  -A, --all-namespaces
  -o, --output FORMAT    table (default), yaml or json
      --lab NAME         the lab to ask (default: AQUIFER_LAB, else "lab")

Kinds: ${KINDS.map((kind) => namesOf(kind)[0]).join(', ')}; plurals and the short names of kubectl work too.

Exits 1 when the object named does not exist.

Examples:
  aquifer get l4policies -A
  aquifer get l4p db-callers -n shop -o yaml`,
  run,
};

async function run(args: readonly string[], context: Context): Promise<number> {
  const parsed = parseArguments('get', args, OPTIONS);
  if (parsed === null) {
    context.out(`${GET.help}\n`);
    return EXIT.ok;
  }
  atMost(2, 'get', parsed.positionals);
  const [word, name] = parsed.positionals;
  if (word === undefined) {
    throw usageError('get: what?', `aquifer get KIND; kinds are ${KINDS.map((kind) => kind.kind).join(', ')}`);
  }
  const kind = kindNamed(word);
  const output = parsed.choice('output', ['table', 'yaml', 'json']);
  const items = await fetchObjects(parsed, kind, name ?? null, context);
  if (name !== undefined && items.length === 0) throw notFound(kind, name, parsed);
  if (output === 'table') context.out(asTable(items, kind, name !== undefined, parsed.flag('all-namespaces'), context));
  else context.out(asDocument(name === undefined ? { kind: 'List', items } : items[0], output));
  return EXIT.ok;
}

async function fetchObjects(
  args: Arguments,
  kind: Kind,
  name: string | null,
  context: Context,
): Promise<readonly MeshObject[]> {
  const target = findTarget(args, context);
  const query = new URLSearchParams({ kind: kind.kind });
  if (kind.namespaced && !args.flag('all-namespaces')) query.set('namespace', args.text('namespace') ?? 'default');
  if (name !== null) query.set('name', name);
  const { body } = await callJson(target.controller, `/v1/objects?${query}`, OBJECTS_REPLY);
  return body.items;
}

function notFound(kind: Kind, name: string, args: Arguments): CliError {
  const where =
    kind.namespaced && !args.flag('all-namespaces') ? ` in namespace ${args.text('namespace') ?? 'default'}` : '';
  return new CliError(`${kind.kind} "${name}" does not exist${where}`, {
    hint: kind.namespaced ? `aquifer get ${namesOf(kind)[0]} -A` : `aquifer get ${namesOf(kind)[0]}`,
  });
}

function asDocument(value: unknown, output: 'yaml' | 'json'): string {
  return output === 'yaml' ? stringify(value) : `${JSON.stringify(value, null, 2)}\n`;
}

function asTable(items: readonly MeshObject[], kind: Kind, details: boolean, all: boolean, context: Context): string {
  if (items.length === 0)
    return `no ${namesOf(kind).at(-1)} here${kind.namespaced && !all ? ' (-A shows all namespaces)' : ''}\n`;
  const columns = columnsOf(kind.kind);
  const namespaced = kind.namespaced && all;
  const text = table(
    [...(namespaced ? ['NAMESPACE'] : []), 'NAME', ...columns.head],
    items.map((item) => [
      ...(namespaced ? [item.metadata.namespace ?? ''] : []),
      item.metadata.name,
      ...columns.cells(item, context.palette),
    ]),
  );
  return details ? text + items.map((item) => conditionTable(item, context)).join('') : text;
}

function conditionTable(item: MeshObject, context: Context): string {
  const conditions = conditionsOf(item);
  if (conditions.length === 0) return '';
  const rows = conditions.map((condition) => [
    condition.type,
    statusCell(condition, context.palette),
    condition.reason,
    condition.message,
  ]);
  return `\n${table(['CONDITION', 'STATUS', 'REASON', 'MESSAGE'], rows)}`;
}
