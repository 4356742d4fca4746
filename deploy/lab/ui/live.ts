/** `lab up` after it is up: a table of who talks to whom, refreshed in place, until the signal. */
import { setTimeout as sleep } from 'node:timers/promises';
import { followNdjson, getJson } from '../http.ts';
import type { LabPaths } from '../names.ts';
import { allNodes, type LabOptions } from '../record.ts';
import type { LabStatus } from '../supervisor/status.ts';
import { type FlowRecord, type FlowRow, FlowTable } from './flows.ts';
import { bytes, paint, type Style, shorten, table } from './style.ts';

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
    ...(rows.length === 0 ? [paint(style, 'dim', quiet(live.options))] : flowLines(shown, style)),
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
  const { style } = live;
  const title = paint(style, 'bold', `aquifer lab ${live.paths.name === 'lab' ? '' : live.paths.name}`.trim());
  if (status === null) return `${title}  ${paint(style, 'red', 'the supervisor does not answer')}`;
  const ready = status.pods.filter((pod) => pod.ready).length;
  const enrolled = status.pods.filter((pod) => pod.mesh === 'enrolled').length;
  const parts = [
    `${status.nodes.length} nodes`,
    `${ready}/${status.pods.length} pods ready`,
    `${enrolled} enrolled`,
    clock(ms),
  ];
  const down = [
    ...(status.controller.state === 'running' ? [] : [`controller ${status.controller.state}`]),
    ...status.nodes
      .filter((node) => node.agent !== null && node.agent.state !== 'running')
      .map((node) => `agent of ${node.name} ${node.agent?.state}`),
  ];
  return `${title}  ${paint(style, 'dim', parts.join(' · '))}${down.length === 0 ? '' : `  ${paint(style, 'red', down.join(', '))}`}`;
}

function flowLines(rows: readonly FlowRow[], style: Style): string[] {
  const columns = [
    { title: 'SOURCE', flexible: true },
    { title: 'DESTINATION', flexible: true },
    { title: 'PATH' },
    { title: 'IDENTITY' },
    { title: 'VERDICT', flexible: true },
    { title: 'CONN/S', right: true },
    { title: 'BYTES', right: true },
  ];
  const marks = { allowed: '✓', denied: '✗', failed: '!' } as const;
  const cells = rows.map((row) => [
    row.source,
    `→ ${row.destination}`,
    row.path,
    row.attested,
    `${marks[row.verdict]} ${row.verdict}${row.why === '' ? '' : ` ${row.why}`}`,
    row.perSecond.toFixed(1),
    bytes(row.bytes),
  ]);
  const colours = { allowed: 'green', denied: 'red', failed: 'yellow' } as const;
  return table(columns, cells, style.width - 1, (text, row, column) => {
    const flow = rows[row];
    if (flow === undefined) return paint(style, 'dim', text);
    if (column === 4) return paint(style, colours[flow.verdict], text);
    return flow.perSecond === 0 && flow.open === 0 ? paint(style, 'dim', text) : text;
  });
}

function hints(live: Pick<LiveOptions, 'style' | 'paths'>): string[] {
  const { style, paths } = live;
  const name = paths.name === 'lab' ? '' : ` --name ${paths.name}`;
  const lines: [string, string][] = [
    [`aquifer lab exec${name} shop/web -- curl -s http://cart/`, 'be a pod'],
    [`aquifer lab apply${name} -f deploy/lab/shop-policies/deny-intruder.yaml`, 'watch a row turn red'],
    [`aquifer lab restart${name} agent/node-1`, 'nothing breaks'],
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
