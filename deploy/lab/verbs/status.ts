import { parse, usage } from '../arguments.ts';
import { getJson } from '../http.ts';
import { requireUp } from '../presence.ts';
import type { LabStatus, PodRow, ProcessStatus } from '../supervisor/status.ts';
import { paint, type Style, styleOf, table } from '../ui/style.ts';

interface ControllerReport {
  sources?: { directory: string; errors?: { file?: string; line?: number; field?: string; reason?: string }[] }[];
}

/** `lab status [-o json]`; exits 1 when something is not as it should be. */
export async function status(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const parsed = parse('status', args, { output: { type: 'string', short: 'o' } }, env);
  const { output } = parsed.values;
  if (output !== undefined && output !== 'json') throw usage(`lab status: -o ${String(output)}: only json`);
  await requireUp(parsed.paths);
  const lab = await getJson<LabStatus>(parsed.paths.socket, '/status');
  if (output === 'json') process.stdout.write(`${JSON.stringify(lab, null, 2)}\n`);
  else process.stdout.write(render(lab, styleOf(process.stdout, env)));
  return lab.settled && faultsOf(lab).length === 0 ? 0 : 1;
}

function render(lab: LabStatus, style: Style): string {
  const lines = [`${paint(style, 'bold', `lab ${lab.name}`)}  since ${lab.createdAt}`, ''];
  lines.push(`controller   ${processText(lab.controller, style)}`);
  for (const node of lab.nodes) {
    const agent = node.agent === null ? 'no agent' : `agent ${processText(node.agent, style)}`;
    lines.push(`${node.name.padEnd(12)} ${node.address}  ${agent}`);
  }
  lines.push('', ...podTable(lab.pods, style));
  const faults = faultsOf(lab);
  if (faults.length > 0) lines.push('', ...faults.map((fault) => `${paint(style, 'yellow', '!')} ${fault}`));
  return `${lines.join('\n')}\n`;
}

function podTable(pods: readonly PodRow[], style: Style): string[] {
  const rows = pods
    .toSorted((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`))
    .map((pod) => [
      `${pod.namespace}/${pod.name}`,
      pod.node,
      pod.addresses[0] ?? '',
      pod.ready ? 'ready' : (pod.reason ?? pod.phase),
      String(pod.restarts),
      pod.mesh ?? '',
    ]);
  if (rows.length === 0) return ['no pods'];
  const columns = [
    { title: 'POD', flexible: true },
    { title: 'NODE' },
    { title: 'ADDRESS' },
    { title: 'STATE' },
    { title: 'RESTARTS', right: true },
    { title: 'MESH' },
  ];
  return table(columns, rows, style.width, (text, row, column) => {
    if (row === -1) return paint(style, 'dim', text);
    const value = text.trim();
    if (column === 3) return paint(style, value === 'ready' ? 'green' : 'yellow', text);
    if (column === 5 && value === 'enrolled') return paint(style, 'green', text);
    return text;
  });
}

function processText(process: ProcessStatus, style: Style): string {
  const restarts = process.restarts === 0 ? '' : `, restarted ${process.restarts} times, last ${process.lastExit}`;
  if (process.state === 'running') return `${paint(style, 'green', 'running')} (pid ${process.pid}${restarts})`;
  return `${paint(style, 'red', process.state)}${process.lastExit === null ? '' : ` (${process.lastExit}${restarts})`}`;
}

function faultsOf(lab: LabStatus): string[] {
  const report = lab.controller.report as ControllerReport | null;
  const manifests = (report?.sources ?? []).flatMap((source) =>
    (source.errors ?? []).map((error) =>
      [
        [error.file, error.line].filter((part) => part !== undefined && part !== null).join(':'),
        error.field,
        error.reason,
      ]
        .filter(Boolean)
        .join(': '),
    ),
  );
  const pods = lab.pods
    .filter((pod) => pod.message !== null && !pod.ready)
    .map((pod) => `pod ${pod.namespace}/${pod.name}: ${pod.message}`);
  const mesh = lab.pods
    .filter((pod) => pod.mesh === 'failed')
    .map((pod) => `pod ${pod.namespace}/${pod.name}: enrolment failed: ${pod.meshReason ?? ''}`);
  const stopped =
    lab.controller.state === 'running'
      ? []
      : [`the controller is ${lab.controller.state}; agents keep their last configuration`];
  return [
    ...stopped,
    ...manifests,
    // A pod that cannot be placed says so itself.
    ...Object.entries(lab.faults).flatMap(([what, why]) => (what.startsWith('Pod ') ? [] : [`${what}: ${why}`])),
    ...pods,
    ...mesh,
  ];
}
