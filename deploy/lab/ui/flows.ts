/** Who talks to whom: connection records of all agents, gathered by pair and verdict. */

/** The fields of an agent's flow record that the table reads; names are those of the access log. */
export interface FlowRecord {
  event: 'open' | 'end' | 'refused';
  direction?: string | null;
  'src.addr'?: string | null;
  'src.workload'?: string | null;
  'src.namespace'?: string | null;
  'src.identity'?: string | null;
  'dst.addr'?: string | null;
  'dst.service'?: string | null;
  'dst.workload'?: string | null;
  'dst.namespace'?: string | null;
  path?: string | null;
  attested?: string | null;
  policy?: string | null;
  reason?: string | null;
  bytes_sent?: number;
  bytes_recv?: number;
}

export interface FlowRow {
  source: string;
  destination: string;
  path: string;
  attested: string;
  verdict: 'allowed' | 'denied' | 'failed';
  why: string;
  /** Connections in all. */
  connections: number;
  perSecond: number;
  open: number;
  bytes: number;
  /** Milliseconds of the clock that `add` was given. */
  lastMs: number;
}

const WINDOW_MS = 3_000;
/** Pairs in the table; the one that was silent longest goes. */
const MOST_ROWS = 500;
const DENIED = new Set([
  'policy_denied',
  'policy_not_allowed',
  'policy_changed',
  'awaiting_policy',
  'awaiting_workload',
  'identity_changed',
  'unenrolled',
]);

export class FlowTable {
  readonly #rows = new Map<string, FlowRow & { times: number[] }>();

  /** Returns the row that the record changed, and whether it is new. */
  add(record: FlowRecord, nowMs: number): { row: FlowRow; fresh: boolean } {
    const identity = rowOf(record);
    const key = JSON.stringify(identity);
    let row = this.#rows.get(key);
    const fresh = row === undefined;
    if (row === undefined) {
      row = { ...identity, connections: 0, perSecond: 0, open: 0, bytes: 0, lastMs: nowMs, times: [] };
      this.#rows.set(key, row);
      this.#evict();
    }
    row.lastMs = nowMs;
    if (record.event !== 'end') {
      row.connections++;
      row.times.push(nowMs);
    }
    if (record.event === 'open') row.open++;
    if (record.event === 'end') {
      row.open = Math.max(0, row.open - 1);
      row.bytes += (record.bytes_sent ?? 0) + (record.bytes_recv ?? 0);
    }
    return { row, fresh };
  }

  /** Busiest sources together, the refused last of each pair; rates are of the last seconds. */
  rows(nowMs: number): FlowRow[] {
    for (const row of this.#rows.values()) {
      row.times = row.times.filter((time) => nowMs - time < WINDOW_MS);
      row.perSecond = row.times.length / (WINDOW_MS / 1000);
    }
    return [...this.#rows.values()].sort(
      (a, b) =>
        a.source.localeCompare(b.source) ||
        a.destination.localeCompare(b.destination) ||
        a.verdict.localeCompare(b.verdict),
    );
  }

  #evict(): void {
    if (this.#rows.size <= MOST_ROWS) return;
    const oldest = [...this.#rows].reduce((a, b) => (b[1].lastMs < a[1].lastMs ? b : a));
    this.#rows.delete(oldest[0]);
  }
}

type RowIdentity = Pick<FlowRow, 'source' | 'destination' | 'path' | 'attested' | 'verdict' | 'why'>;

function rowOf(record: FlowRecord): RowIdentity {
  const verdict = verdictOf(record);
  return {
    source: nameOf(record['src.namespace'], record['src.workload'], withoutPort(record['src.addr'])),
    destination: destinationOf(record),
    path: record.path ?? '',
    attested: record.attested ?? 'none',
    verdict,
    why: verdict === 'allowed' ? (record.policy ?? '') : (record.policy ?? record.reason ?? ''),
  };
}

function verdictOf(record: FlowRecord): FlowRow['verdict'] {
  const reason = record.reason ?? 'ok';
  if (DENIED.has(reason)) return 'denied';
  return record.event === 'refused' ? 'failed' : 'allowed';
}

function destinationOf(record: FlowRecord): string {
  const port = /:(\d+)$/.exec(record['dst.addr'] ?? '')?.[1];
  const service = record['dst.service']?.split('.').slice(0, 2);
  const [name, namespace] = service ?? [];
  if (name !== undefined && namespace !== undefined)
    return `${namespace}/${name}${port === undefined ? '' : `:${port}`}`;
  const workload = nameOf(record['dst.namespace'], record['dst.workload'], null);
  return workload === '?' ? (record['dst.addr'] ?? '?') : `${workload}${port === undefined ? '' : `:${port}`}`;
}

/** Pods of one Deployment are one caller. */
function nameOf(
  namespace: string | null | undefined,
  workload: string | null | undefined,
  address: string | null,
): string {
  if (!workload) return address ?? '?';
  return `${namespace ?? '?'}/${workload.replace(/-[a-z0-9]{9}-[a-z0-9]{5}$/, '')}`;
}

function withoutPort(address: string | null | undefined): string | null {
  return address?.replace(/:\d+$/, '').replace(/^\[|\]$/g, '') ?? null;
}
