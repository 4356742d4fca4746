/** `lab up` after it is up: a table of who talks to whom, refreshed in place, until the signal. */
import { setTimeout as sleep } from 'node:timers/promises';
import { followNdjson, getJson } from '../http.ts';
import type { LabPaths } from '../names.ts';
import { allNodes, type LabOptions } from '../record.ts';
import type { LabStatus } from '../supervisor/status.ts';
import { type FlowRecord, type FlowRow, FlowTable } from './flows.ts';
import { bytes, type Column, paint, type Style, shorten, table } from './style.ts';

const REFRESH_MS = 500;
const PLAIN_SUMMARY_MS = 10_000;
const RECONNECT_MS = 500;
/** Lines around the table. */
const FRAME_LINES = 12;

export interface LiveOptions {
  paths: LabPaths;
  style: Style;
  options: LabOptions;
  signal: AbortSignal;
  write: (text: string) => void;
}

/** Returns when the signal aborts. */
export async function watchLab(live: LiveOptions): Promise<void> {
  const flows = new FlowTable();
  const plain = !live.style.tty;
  const onRecord = (record: FlowRecord): void => {
    const added = flows.add(record, Date.now());
    if (plain && added?.fresh === true) live.write(`${plainLine(added.row)}\n`);
  };
  if (live.options.agents)
    for (const node of allNodes(live.options)) follow(live, live.paths.agentSocket(node.name), onRecord);
  if (plain) await watchPlain(live, flows);
  else await watchTerminal(live, flows);
}

/** A stream ends when its agent is restarted; the next one is followed. */
function follow(live: LiveOptions, socket: string, onRecord: (record: FlowRecord) => void): void {
  if (live.signal.aborted) return;
  const stop = followNdjson(
    socket,
    '/flows',
    (record) => onRecord(record as FlowRecord),
    () => setTimeout(() => follow(live, socket, onRecord), RECONNECT_MS).unref(),
  );
  live.signal.addEventListener('abort', stop, { once: true });
}

async function watchPlain(live: LiveOptions, flows: FlowTable): Promise<void> {
  live.write(`${hints(live).join('\n')}\n\n`);
  while (!live.signal.aborted) {
    await sleep(PLAIN_SUMMARY_MS, undefined, { signal: live.signal }).catch(() => {});
    for (const row of flows.rows(Date.now())) if (row.perSecond > 0) live.write(`${plainLine(row)}\n`);
  }
}

function plainLine(row: FlowRow): string {
  const rate = row.perSecond > 0 ? ` ${row.perSecond.toFixed(1)}/s, ${bytes(row.bytes)}` : '';
  return `${row.source} -> ${row.destination} ${row.path} attested=${row.attested} ${row.verdict}${row.why === '' ? '' : ` (${row.why})`}${rate}`;
}

async function watchTerminal(live: LiveOptions, flows: FlowTable): Promise<void> {
  const began = Date.now();
  let drawn = 0;
  live.write('\u001b[?25l');
  try {
    while (!live.signal.aborted) {
      const status = await getJson<LabStatus>(live.paths.socket, '/status').catch(() => null);
      // A terminal's size changes while one looks on; what it can show does not.
      const { columns: width = live.style.width, rows: height = live.style.height } = process.stdout;
      const style = { ...live.style, width, height };
      const lines = frame({ ...live, style }, flows.rows(Date.now()), status, Date.now() - began);
      live.write(`${drawn > 0 ? `\u001b[${drawn}A` : ''}${lines.map((line) => `\u001b[2K${line}\n`).join('')}\u001b[J`);
      drawn = lines.length;
      await sleep(REFRESH_MS, undefined, { signal: live.signal }).catch(() => {});
    }
  } finally {
    live.write('\u001b[?25h');
  }
}

/** The whole picture, one entry a line. */
export function frame(
  live: Pick<LiveOptions, 'style' | 'paths' | 'options'>,
  rows: readonly FlowRow[],
  status: LabStatus | null,
  ms: number,
): string[] {
  const { style } = live;
  const room = Math.max(3, style.height - FRAME_LINES);
  const shown =
    rows.length <= room
      ? rows
      : rows
          .toSorted((a, b) => b.lastMs - a.lastMs)
          .slice(0, room)
          .toSorted((a, b) => rows.indexOf(a) - rows.indexOf(b));
  const more = rows.length - shown.length;
  return [
    headline(live, status, ms),
    '',
    ...(rows.length === 0
      ? [paint(style, 'dim', shorten(quiet(live.options), style.width - 1))]
      : flowLines(shown, style)),
    ...(more > 0 ? [paint(style, 'dim', `… and ${more} more`)] : []),
    '',
    ...hints(live),
  ];
}

function quiet(options: LabOptions): string {
  return options.agents
    ? 'no connection yet'
    : 'no agents (--no-agent): connections pass without a mesh and are not seen';
}

function headline(live: Pick<LiveOptions, 'style' | 'paths'>, status: LabStatus | null, ms: number): string {
  const { style, paths } = live;
  const title = paths.name === 'lab' ? 'aquifer lab' : `aquifer lab ${paths.name}`;
  const trouble = troubleOf(status);
  const facts = status === null ? '' : factsOf(status, ms);
  // A line that wraps would put the next picture in the wrong place.
  const room = style.width - 1 - title.length - 2;
  const red = shorten(trouble, room);
  const grey = shorten(facts, Math.max(0, room - (red === '' ? 0 : red.length + 2)));
  return [paint(style, 'bold', title), paint(style, 'dim', grey), paint(style, 'red', red)]
    .filter((_, index) => [title, grey, red][index] !== '')
    .join('  ');
}

function factsOf(status: LabStatus, ms: number): string {
  const ready = status.pods.filter((pod) => pod.ready).length;
  const enrolled = status.pods.filter((pod) => pod.mesh === 'enrolled').length;
  return [
    `${status.nodes.length} nodes`,
    `${ready}/${status.pods.length} pods ready`,
    `${enrolled} enrolled`,
    clock(ms),
  ].join(' · ');
}

function troubleOf(status: LabStatus | null): string {
  if (status === null) return 'the supervisor does not answer';
  const agents = status.nodes
    .filter((node) => node.agent !== null && node.agent.state !== 'running')
    .map((node) => `agent of ${node.name} ${node.agent?.state}`);
  return [...(status.controller.state === 'running' ? [] : [`controller ${status.controller.state}`]), ...agents].join(
    ', ',
  );
}

interface FlowColumn extends Column {
  /** Shown when the terminal has so many columns. */
  from: number;
  text: (row: FlowRow) => string;
}

const MARKS = { allowed: '✓', denied: '✗', failed: '!' } as const;
const COLOURS = { allowed: 'green', denied: 'red', failed: 'yellow' } as const;
const FLOW_COLUMNS: readonly FlowColumn[] = [
  { title: 'SOURCE', flexible: true, from: 0, text: (row) => row.source },
  { title: 'DESTINATION', flexible: true, from: 0, text: (row) => `→ ${row.destination}` },
  { title: 'PATH', from: 85, text: (row) => row.path },
  { title: 'IDENTITY', from: 75, text: (row) => row.attested },
  {
    title: 'VERDICT',
    flexible: true,
    from: 0,
    text: (row) => `${MARKS[row.verdict]} ${row.verdict}${row.why === '' ? '' : ` ${row.why}`}`,
  },
  { title: 'CONN/S', right: true, from: 0, text: (row) => row.perSecond.toFixed(1) },
  { title: 'BYTES', right: true, from: 70, text: (row) => bytes(row.bytes) },
];

function flowLines(rows: readonly FlowRow[], style: Style): string[] {
  const columns = FLOW_COLUMNS.filter((column) => style.width >= column.from);
  const cells = rows.map((row) => columns.map((column) => column.text(row)));
  return table(columns, cells, style.width - 1, (text, row, column) => {
    const flow = rows[row];
    if (flow === undefined) return paint(style, 'dim', text);
    if (columns[column]?.title === 'VERDICT') return paint(style, COLOURS[flow.verdict], text);
    return flow.perSecond === 0 && flow.open === 0 ? paint(style, 'dim', text) : text;
  });
}

function hints(live: Pick<LiveOptions, 'style' | 'paths'>): string[] {
  const { style, paths } = live;
  const name = paths.name === 'lab' ? '' : ` --name ${paths.name}`;
  const lines: [string, string][] = [
    [`npx aquifer lab exec${name} shop/web -- curl -s http://cart/`, 'be a pod'],
    [`npx aquifer lab apply${name} -f deploy/lab/shop-policies/deny-intruder.yaml`, 'watch a row turn red'],
    [`npx aquifer lab restart${name} agent/node-1`, 'nothing breaks'],
  ];
  const width = Math.max(...lines.map(([command]) => command.length));
  return [
    paint(style, 'bold', 'In another terminal:'),
    ...lines.map(
      ([command, what]) =>
        `  ${paint(style, 'cyan', shorten(command, style.width - 4).padEnd(width))}  ${paint(style, 'dim', shorten(what, Math.max(0, style.width - width - 6)))}`,
    ),
    paint(style, 'dim', 'Ctrl-C takes the lab down.'),
  ];
}

function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}
