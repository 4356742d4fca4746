import type { Palette } from './palette.ts';
import type { Condition, MeshObject } from './responses.ts';

/** The columns of one kind's table, beside namespace and name. */
export interface Columns {
  head: readonly string[];
  cells(object: MeshObject, palette: Palette): string[];
}

const BY_KIND: Readonly<Record<string, Columns>> = {
  Namespace: { head: ['MODE'], cells: (object) => [modeOf(object)] },
  Pod: {
    head: ['PHASE', 'READY', 'NODE', 'ADDRESSES'],
    cells: (object) => [
      text(object.status?.phase),
      conditionOf(object, 'Ready')?.status ?? '-',
      text(object.spec?.nodeName),
      join(list(object.status?.podIPs).map((entry) => field(entry, 'ip'))),
    ],
  },
  Deployment: { head: ['REPLICAS'], cells: (object) => [text(object.spec?.replicas ?? 1)] },
  Service: {
    head: ['TYPE', 'ADDRESSES', 'PORTS'],
    cells: (object) => [
      text(object.spec?.type ?? 'ClusterIP'),
      join(list(object.spec?.clusterIPs ?? [object.spec?.clusterIP]).map(text)),
      join(list(object.spec?.ports).map((port) => `${field(port, 'port')}/${field(port, 'name')}`.replace(/\/-$/, ''))),
    ],
  },
  L4Policy: {
    head: ['DIRECTION', 'ACTION', 'MODE', 'ACCEPTED', 'ENFORCED'],
    cells: (object, palette) => [
      text(object.spec?.direction ?? 'Inbound'),
      text(object.spec?.action),
      text(object.spec?.enforcement ?? 'Enforce'),
      statusCell(conditionOf(object, 'Accepted'), palette),
      enforcedCell(conditionOf(object, 'Enforced'), palette),
    ],
  },
};

const NONE: Columns = { head: [], cells: () => [] };

/** What `get` shows of a kind in one line. */
export function columnsOf(kind: string): Columns {
  return BY_KIND[kind] ?? NONE;
}

/** The status conditions, none when the object has none. */
export function conditionsOf(object: MeshObject): readonly Condition[] {
  return object.status?.conditions ?? [];
}

/** Green for True, red for False. */
export function statusCell(condition: Condition | undefined, palette: Palette): string {
  if (condition === undefined) return '-';
  if (condition.status === 'True') return palette.good('True');
  return condition.status === 'False' ? palette.bad('False') : palette.warn(condition.status);
}

function enforcedCell(condition: Condition | undefined, palette: Palette): string {
  const status = statusCell(condition, palette);
  // "in force on 1 of 2 nodes" is what one wants to know at a glance.
  const share = /(\d+) of (\d+)/.exec(condition?.message ?? '');
  return share === null ? status : `${status} (${share[1]}/${share[2]})`;
}

function conditionOf(object: MeshObject, type: string): Condition | undefined {
  return conditionsOf(object).find((condition) => condition.type === type);
}

function modeOf(object: MeshObject): string {
  const labels = object.metadata.labels ?? {};
  return labels['aquifer.dev/dataplane-mode'] ?? labels['istio.io/dataplane-mode'] ?? '-';
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function field(value: unknown, name: string): string {
  return typeof value === 'object' && value !== null ? text((value as Record<string, unknown>)[name]) : '-';
}

function text(value: unknown): string {
  return value === undefined || value === null || value === '' ? '-' : String(value);
}

function join(parts: string[]): string {
  return parts.length === 0 ? '-' : parts.join(',');
}
