/** Whether all pods are as they should be, and who is not and why. */
import {
  type Deployment,
  isFinished,
  isReady,
  isTerminating,
  nameOf,
  namespaceOf,
  type Pod,
} from '../cluster/objects.ts';
import { HASH_LABEL, templateHash } from '../cluster/rollout.ts';
import { deploymentOf } from './pods.ts';

export interface Waiting {
  /** `namespace/name` */
  pod: string;
  reason: string;
  message: string;
}

export interface Settlement {
  settled: boolean;
  ready: number;
  total: number;
  waiting: Waiting[];
  /** Nothing that waits will get better by itself. */
  hopeless: boolean;
}

const HOPELESS = new Set([
  'ErrImagePull',
  'UnsupportedProbe',
  'Unschedulable',
  'AddressPoolExhausted',
  'RunPodFailed',
  'Failed',
  'CrashLoopBackOff',
]);

export function settlement(deployments: readonly Deployment[], pods: readonly Pod[]): Settlement {
  const waiting: Waiting[] = [];
  let ready = 0;
  for (const pod of pods.filter((one) => !isTerminating(one))) {
    if (isReady(pod) || pod.status?.phase === 'Succeeded') ready++;
    else waiting.push({ pod: nameOf(pod), ...whyNot(pod) });
  }
  const rolling = deployments.some((deployment) => !isRolledOut(deployment, pods));
  return {
    settled: waiting.length === 0 && !rolling,
    ready,
    total: ready + waiting.length,
    waiting,
    hopeless: waiting.length > 0 && waiting.every((one) => HOPELESS.has(one.reason)),
  };
}

function isRolledOut(deployment: Deployment, pods: readonly Pod[]): boolean {
  const own = pods.filter(
    (pod) => namespaceOf(pod) === namespaceOf(deployment) && deploymentOf(pod) === deployment.metadata.name,
  );
  const hash = templateHash(deployment);
  const current = own.filter(
    (pod) => pod.metadata.labels?.[HASH_LABEL] === hash && !isTerminating(pod) && !isFinished(pod),
  );
  return own.length === current.length && current.length === (deployment.spec.replicas ?? 1) && current.every(isReady);
}

function whyNot(pod: Pod): { reason: string; message: string } {
  const { status } = pod;
  if (status?.reason !== undefined) return { reason: status.reason, message: status.message ?? '' };
  if (status?.phase === 'Failed') return { reason: 'Failed', message: 'a container ended with an error; see its log' };
  for (const container of [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]) {
    const { waiting, terminated } = container.state;
    if (waiting !== undefined)
      return { reason: waiting.reason, message: `${container.name}: ${waiting.message ?? ''}` };
    if (terminated !== undefined && terminated.exitCode !== 0) {
      return { reason: terminated.reason, message: `${container.name}: exit ${terminated.exitCode}` };
    }
  }
  return {
    reason: status?.phase === 'Running' ? 'NotReady' : 'Pending',
    message: 'its readiness probe has not passed yet',
  };
}
