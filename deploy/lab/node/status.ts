/** A pod's status from what its containers do, by the rules of the kubelet. */
import type { Condition, ContainerStatus, Pod, PodStatus } from '../cluster/objects.ts';

/** Why no container runs yet. */
export interface Blocked {
  reason: string;
  message: string;
}

/** The part of a running container that a status needs. */
export interface ContainerView {
  ready: boolean;
  finished: boolean;
  exitCode: number | null;
  status(): ContainerStatus;
}

export interface StatusFacts {
  pod: Pod;
  addresses: readonly string[];
  hostIp: string;
  /** Its address stays out of the status: the mesh must not take it for one of its pods. */
  outside: boolean;
  startTime: string;
  blocked: Blocked | null;
  initRuns: readonly ContainerView[];
  runs: readonly ContainerView[];
}

export function podStatus(facts: StatusFacts): PodStatus {
  const { pod, blocked, runs, initRuns, addresses } = facts;
  const started = blocked === null && runs.length > 0;
  const allReady =
    started && runs.every((run) => run.ready || (run.finished && run.exitCode === 0)) && runs.some((run) => run.ready);
  const visible = facts.outside ? [] : addresses;
  const [podIP] = visible;
  const initDone =
    initRuns.length === (pod.spec.initContainers?.length ?? 0) &&
    initRuns.every((run) => run.finished && run.exitCode === 0);
  return {
    phase: phaseOf(facts),
    ...(blocked === null ? {} : { reason: blocked.reason, message: blocked.message }),
    ...(podIP === undefined ? {} : { podIP, podIPs: visible.map((ip) => ({ ip })) }),
    hostIP: facts.hostIp,
    startTime: facts.startTime,
    conditions: [
      condition('PodScheduled', true),
      condition('Initialized', initDone),
      condition('ContainersReady', allReady),
      condition('Ready', allReady, blocked),
    ],
    containerStatuses: pod.spec.containers.map(
      (container, index) => runs[index]?.status() ?? waiting(container.name, container.image, blocked),
    ),
    ...(initRuns.length === 0 ? {} : { initContainerStatuses: initRuns.map((run) => run.status()) }),
  };
}

function phaseOf({ pod, runs, initRuns, blocked }: StatusFacts): PodStatus['phase'] {
  const failedInit = initRuns.some((run) => run.finished && run.exitCode !== 0);
  if (failedInit) return 'Failed';
  if (blocked !== null || runs.length < pod.spec.containers.length) return 'Pending';
  if (runs.every((run) => run.finished)) return runs.every((run) => run.exitCode === 0) ? 'Succeeded' : 'Failed';
  return 'Running';
}

function condition(type: string, met: boolean, blocked: Blocked | null = null): Condition {
  return {
    type,
    status: met ? 'True' : 'False',
    ...(blocked === null ? {} : { reason: blocked.reason, message: blocked.message }),
  };
}

function waiting(name: string, image: string | undefined, blocked: Blocked | null): ContainerStatus {
  const { reason, message } = blocked ?? { reason: 'PodInitializing', message: '' };
  const state = { waiting: message === '' ? { reason } : { reason, message } };
  return { name, image: image ?? '', imageID: '', ready: false, started: false, restartCount: 0, state };
}
