/** Deployments: how many pods of which template there should be, by the rules of the Deployment controller. */
import { createHash } from 'node:crypto';
import { type Deployment, isFinished, isReady, isTerminating, nameOf, type Pod } from './objects.ts';

export const HASH_LABEL = 'pod-template-hash';

export interface RolloutStep {
  create: number;
  /** Names of pods to delete. */
  delete: string[];
}

/** Short and stable: it stands in the pods' names, as Kubernetes' does. */
export function templateHash(deployment: Deployment): string {
  const { metadata, spec } = deployment.spec.template;
  const text = JSON.stringify({ labels: metadata?.labels, annotations: metadata?.annotations, spec });
  return BigInt(`0x${createHash('sha256').update(text).digest('hex').slice(0, 12)}`)
    .toString(36)
    .padStart(10, '0')
    .slice(0, 9);
}

/**
 * What to do next. `pods` are all of the deployment's, terminating ones included. Old pods that are not ready go
 * first, since taking them away makes nothing worse; ready ones only as far as `maxUnavailable` allows.
 */
export function rolloutStep(deployment: Deployment, pods: readonly Pod[]): RolloutStep {
  const hash = templateHash(deployment);
  const replicas = deployment.spec.replicas ?? 1;
  const live = pods.filter((pod) => !isTerminating(pod) && !isFinished(pod));
  const current = live.filter((pod) => pod.metadata.labels?.[HASH_LABEL] === hash);
  const old = live.filter((pod) => pod.metadata.labels?.[HASH_LABEL] !== hash);
  const finished = pods.filter((pod) => isFinished(pod) && !isTerminating(pod)).map((pod) => pod.metadata.name);
  if (deployment.spec.strategy?.type === 'Recreate') return recreate(replicas, current, old, pods, finished);

  const { surge, unavailable } = bounds(deployment, replicas);
  const create = Math.max(0, Math.min(replicas - current.length, replicas + surge - live.length));
  const surplus = byExpendability(current).slice(0, Math.max(0, current.length - replicas));
  const doomedOld = replicas === 0 ? old : oldToDelete(old, live.filter(isReady).length - (replicas - unavailable));
  return {
    create,
    delete: [...finished, ...surplus, ...doomedOld].map((pod) => (typeof pod === 'string' ? pod : pod.metadata.name)),
  };
}

function recreate(replicas: number, current: Pod[], old: Pod[], all: readonly Pod[], finished: string[]): RolloutStep {
  const gone = [...finished, ...old.map((pod) => pod.metadata.name)];
  const surplus = byExpendability(current).slice(0, Math.max(0, current.length - replicas));
  if (old.length > 0) return { create: 0, delete: gone };
  const waiting = all.some(isTerminating);
  const create = waiting ? 0 : Math.max(0, replicas - current.length);
  return { create, delete: [...gone, ...surplus.map((pod) => pod.metadata.name)] };
}

function oldToDelete(old: Pod[], spareReady: number): Pod[] {
  const unready = old.filter((pod) => !isReady(pod));
  const ready = byExpendability(old.filter(isReady));
  return [...unready, ...ready.slice(0, Math.max(0, spareReady))];
}

/** Surge rounds up and unavailable down, and they are never both 0, or nothing could move. */
function bounds(deployment: Deployment, replicas: number): { surge: number; unavailable: number } {
  const { maxSurge, maxUnavailable } = deployment.spec.strategy?.rollingUpdate ?? {};
  const surge = share(maxSurge ?? '25%', replicas, Math.ceil);
  const unavailable = share(maxUnavailable ?? '25%', replicas, Math.floor);
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

function share(value: number | string, of: number, round: (value: number) => number): number {
  if (typeof value === 'number') return value;
  const number = Number.parseInt(value, 10);
  return value.endsWith('%') ? round((number * of) / 100) : number;
}

/** Pods to lose first: not ready before ready, young before old. */
function byExpendability(pods: Pod[]): Pod[] {
  return [...pods].sort(
    (a, b) =>
      Number(isReady(a)) - Number(isReady(b)) ||
      (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '') ||
      nameOf(a).localeCompare(nameOf(b)),
  );
}
