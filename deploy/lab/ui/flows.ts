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
  'original.addr'?: string | null;
  path?: string | null;
  attested?: string | null;
  policy?: string | null;
  reason?: string | null;
  bytes_sent?: number;
  bytes_recv?: number;
}

export interface FlowRow {
  source: string;
  /** With the port that was asked for. */
  destination: string;
  path: string;
  /** How the deciding end knows who calls. */
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

interface Counted extends FlowRow {
  /** Same for the two halves of a connection between nodes. */
  pair: string;
  times: number[];
  firstMs: number;
  /** When bytes last came through; 0: never. */
  movedMs: number;
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
const PATHS: Readonly<Record<string, string>> = {
  SameNode: 'same node',
  CrossNode: 'cross node',
  Hbone: 'hbone',
  Passthrough: 'leaves mesh',
  ToApp: 'enters mesh',
};

export class FlowTable {
  readonly #rows = new Map<string, Counted>();
  /** What the far end of a connection between nodes made of its caller, by pair. */
  readonly #farEnd = new Map<string, string>();

  /** Returns the row that the record changed, and whether it is new; `null` for the far half of a connection. */
  add(record: FlowRecord, nowMs: number): { row: FlowRow; fresh: boolean } | null {
    const { pair, ...identity } = rowOf(record);
    if (isFarHalf(record)) {
      this.#farEnd.set(pair, identity.attested);
      if (identity.verdict === 'allowed') return null;
      identity.path = PATHS.CrossNode ?? '';
    }
    const key = JSON.stringify([pair, identity]);
    const known = this.#rows.get(key);
    const row = known ?? {
      ...identity,
      pair,
      connections: 0,
      perSecond: 0,
      open: 0,
      bytes: 0,
      lastMs: nowMs,
      times: [],
      firstMs: nowMs,
      movedMs: 0,
    };
    if (known === undefined) {
      this.#rows.set(key, row);
      this.#evict();
    }
    count(row, record, nowMs);
    return { row, fresh: known === undefined };
  }

  /** By source and destination; rates are of the last seconds. */
  rows(nowMs: number): FlowRow[] {
    const all = [...this.#rows.values()];
    for (const row of all) {
      row.times = row.times.filter((time) => nowMs - time < WINDOW_MS);
      row.perSecond = row.times.length / (WINDOW_MS / 1000);
    }
    const denied = new Map(
      all.filter((row) => row.verdict === 'denied' && row.perSecond > 0).map((row) => [row.pair, row]),
    );
    return all
      .filter((row) => !isFirstHalfOfRefused(row, denied.get(row.pair)))
      .map(
        (row): FlowRow => ({
          ...row,
          attested: row.path === PATHS.CrossNode ? (this.#farEnd.get(row.pair) ?? row.attested) : row.attested,
        }),
      )
      .sort(
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
    this.#farEnd.delete(oldest[1].pair);
  }
}

function count(row: Counted, record: FlowRecord, nowMs: number): void {
  const moved = (record.bytes_sent ?? 0) + (record.bytes_recv ?? 0);
  row.lastMs = nowMs;
  if (record.event !== 'end') {
    row.connections++;
    row.times.push(nowMs);
  }
  if (record.event === 'open') row.open++;
  if (record.event === 'end') row.open = Math.max(0, row.open - 1);
  row.bytes += moved;
  if (moved > 0) row.movedMs = nowMs;
}

/** The destination's agent tells of a connection that the source's agent on another node has told of already. */
function isFarHalf(record: FlowRecord): boolean {
  return record.direction === 'inbound' && record.attested !== 'none' && record.attested !== null;
}

/** The source's agent let it out and the destination's refused it: that is one refused connection. */
function isFirstHalfOfRefused(row: Counted, denied: Counted | undefined): boolean {
  return (
    denied !== undefined && row.verdict === 'allowed' && row.path === PATHS.CrossNode && row.movedMs < denied.firstMs
  );
}

type RowIdentity = Pick<Counted, 'source' | 'destination' | 'path' | 'attested' | 'verdict' | 'why' | 'pair'>;

function rowOf(record: FlowRecord): RowIdentity {
  const verdict = verdictOf(record);
  const source = nameOf(record['src.namespace'], record['src.workload'], withoutPort(record['src.addr']));
  const asked = record.direction === 'outbound' ? (record['original.addr'] ?? record['dst.addr']) : record['dst.addr'];
  return {
    source,
    destination: destinationOf(record, portOf(asked)),
    pair: `${source} ${destinationOf(record, portOf(record['dst.addr']))}`,
    path: PATHS[record.path ?? ''] ?? record.path ?? '',
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

function destinationOf(record: FlowRecord, port: string): string {
  const [name, namespace] = record['dst.service']?.split('.') ?? [];
  if (name !== undefined && namespace !== undefined) return `${namespace}/${name}${port}`;
  return `${nameOf(record['dst.namespace'], record['dst.workload'], withoutPort(record['dst.addr']))}${port}`;
}

/** `:80`, or nothing. */
function portOf(address: string | null | undefined): string {
  return /:\d+$/.exec(address ?? '')?.[0] ?? '';
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
