/** `lab status`, as a value. */
import { namespaceOf, type Pod } from '../cluster/objects.ts';
import { callJson } from '../http.ts';
import type { Child } from './child.ts';
import type { Lab } from './lab.ts';
import { settlement } from './settled.ts';

const AGENT_TIMEOUT_MS = 1_000;

export interface ProcessStatus {
  state: 'running' | 'stopped' | 'crashed';
  pid: number | null;
  restarts: number;
  lastExit: string | null;
}

/** `answers`: on its admin socket; a process that runs may still be stuck. */
export interface AgentStatus extends ProcessStatus {
  answers: boolean;
}

export interface PodRow {
  uid: string;
  namespace: string;
  name: string;
  node: string;
  addresses: string[];
  phase: string;
  ready: boolean;
  restarts: number;
  reason: string | null;
  message: string | null;
  /** What the agent says: enrolled, not_enrolled, pending, failed; `null` without an agent. */
  mesh: string | null;
  meshReason: string | null;
}

export interface LabStatus {
  name: string;
  createdAt: string;
  /** `report` is what the controller says of itself, `null` when it does not answer. */
  controller: ProcessStatus & { report: unknown };
  nodes: { name: string; address: string; agent: AgentStatus | null; kubelet: ProcessStatus | null }[];
  pods: PodRow[];
  settled: boolean;
  faults: Record<string, string>;
}

interface AgentPod {
  uid: string;
  state: string;
  reason?: string | null;
}

/** The pods alone: no agent and no controller is asked, so it answers at once whatever state they are in. */
export function podRows(lab: Lab): PodRow[] {
  return lab.cluster.view.list('Pod').map((pod) => podRow(pod, undefined));
}

export async function labStatus(lab: Lab): Promise<LabStatus> {
  const { record, nodes, paths } = lab.settings;
  const [report, ...agentPods] = await Promise.all([
    ask<unknown>(paths.controllerSocket, '/v1/status'),
    ...[...lab.agents.keys()].map((node) => ask<AgentPod[]>(paths.agentSocket(node), '/pods')),
  ]);
  const answering = new Set([...lab.agents.keys()].filter((_, i) => (agentPods[i] ?? null) !== null));
  const mesh = new Map(agentPods.flatMap((pods) => pods ?? []).map((pod) => [pod.uid, pod]));
  return {
    name: paths.name,
    createdAt: record.createdAt,
    controller: { ...processStatus(lab.controller), report },
    nodes: nodes.map((node) => ({
      name: node.name,
      address: node.v4,
      agent: agentStatus(lab.agents.get(node.name), answering.has(node.name)),
      kubelet: statusOrNull(lab.kubelets.get(node.name)),
    })),
    pods: lab.cluster.view.list('Pod').map((pod) => podRow(pod, mesh.get(pod.metadata.uid ?? ''))),
    settled: settlement(lab.sources.store.list('Deployment'), lab.cluster.view.list('Pod')).settled,
    faults: Object.fromEntries(lab.cluster.faults),
  };
}

function podRow(pod: Pod, mesh: AgentPod | undefined): PodRow {
  const { status, metadata, spec } = pod;
  const containers = status?.containerStatuses ?? [];
  const waiting = containers.find((container) => container.state.waiting !== undefined)?.state.waiting;
  const outsideAddress = metadata.annotations?.['lab.aquifer.dev/address'];
  return {
    uid: metadata.uid ?? '',
    namespace: namespaceOf(pod),
    name: metadata.name,
    node: spec.nodeName ?? '',
    addresses: status?.podIPs?.map((entry) => entry.ip) ?? outsideAddress?.split(',') ?? [],
    phase: metadata.deletionTimestamp === undefined ? (status?.phase ?? 'Pending') : 'Terminating',
    ready: status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false,
    restarts: containers.reduce((sum, container) => sum + container.restartCount, 0),
    reason: status?.reason ?? waiting?.reason ?? null,
    message: status?.message ?? waiting?.message ?? null,
    mesh: mesh?.state ?? null,
    meshReason: mesh?.reason ?? null,
  };
}

function agentStatus(child: Child | undefined, answers: boolean): AgentStatus | null {
  return child === undefined ? null : { ...processStatus(child), answers };
}

function statusOrNull(child: Child | undefined): ProcessStatus | null {
  return child === undefined ? null : processStatus(child);
}

function processStatus(child: Child): ProcessStatus {
  return { state: child.state, pid: child.pid, restarts: child.restarts, lastExit: child.lastExit };
}

async function ask<T>(socket: string, path: string): Promise<T | null> {
  try {
    const { status, body } = await callJson<T>(socket, path, { timeoutMs: AGENT_TIMEOUT_MS });
    return status === 200 ? body : null;
  } catch {
    return null;
  }
}
