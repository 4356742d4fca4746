import { parse, usage } from '../arguments.ts';
import { getJson } from '../http.ts';
import { requireUp } from '../presence.ts';
import type { AgentStatus, LabStatus, PodRow, ProcessStatus } from '../supervisor/status.ts';
import { paint, type Style, styleOf, table } from '../ui/style.ts';

interface ControllerReport {
  agents?: { node: string; connected: boolean; lastError?: string | null }[];
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
  return [
    ...controllerFaults(lab),
    ...lab.nodes.flatMap(({ name, agent }) => (agent === null ? [] : agentFaults(name, agent, report))),
    ...manifests,
    // A pod that cannot be placed says so itself.
    ...Object.entries(lab.faults).flatMap(([what, why]) => (what.startsWith('Pod ') ? [] : [`${what}: ${why}`])),
    ...pods,
    ...mesh,
  ];
}

function controllerFaults({ controller }: LabStatus): string[] {
  if (controller.state !== 'running')
    return [`the controller is ${controller.state}; agents keep their last configuration`];
  return controller.report === null ? ['the controller does not answer; agents keep their last configuration'] : [];
}

function agentFaults(node: string, agent: AgentStatus, report: ControllerReport | null): string[] {
  if (agent.state !== 'running') return [`agent/${node} is ${agent.state}: no TCP of its enrolled pods passes`];
  if (!agent.answers) return [`agent/${node} does not answer: no new TCP of its enrolled pods passes`];
  const known = report?.agents?.find((each) => each.node === node);
  if (known === undefined) return [];
  if (!known.connected) return [`agent/${node} is not connected to the controller; it keeps its last configuration`];
  return known.lastError ? [`agent/${node} has refused what the controller sent: ${known.lastError}`] : [];
}
