/** From what a user types to a pod. */
import { LabError } from './errors.ts';
import { getJson } from './http.ts';
import type { LabPaths } from './names.ts';
import { requireUp } from './presence.ts';
import type { PodRow } from './supervisor/status.ts';

/** `namespace/pod`, or `namespace/deployment` for one of its running pods. Throws `LAB_UNKNOWN_POD`, naming the nearest. */
export async function findPod(paths: LabPaths, target: string): Promise<PodRow> {
  await requireUp(paths);
  const pods = await getJson<PodRow[]>(paths.socket, '/pods');
  const [namespace, name] = target.includes('/')
    ? [target.slice(0, target.indexOf('/')), target.slice(target.indexOf('/') + 1)]
    : ['default', target];
  const found = choose(pods, namespace ?? '', name ?? '');
  if (found !== null) return found;
  const near = nearest(
    `${namespace}/${name}`,
    pods.flatMap((pod) => [`${pod.namespace}/${pod.name}`, `${pod.namespace}/${deploymentName(pod.name)}`]),
  );
  throw new LabError('LAB_UNKNOWN_POD', `there is no pod or deployment "${namespace}/${name}"`, {
    hint: near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'aquifer lab status lists the pods',
  });
}

function choose(pods: readonly PodRow[], namespace: string, name: string): PodRow | null {
  const here = pods.filter((pod) => pod.namespace === namespace);
  const exact = here.find((pod) => pod.name === name);
  if (exact !== undefined) return exact;
  const ofDeployment = here.filter((pod) => deploymentName(pod.name) === name);
  const usable = ofDeployment.filter((pod) => pod.phase === 'Running');
  return usable.find((pod) => pod.ready) ?? usable[0] ?? ofDeployment[0] ?? null;
}

/** `web-abc123-x7z9w` is a pod of `web`. */
export function deploymentName(pod: string): string {
  return pod.replace(/-[a-z0-9]{9}-[a-z0-9]{5}$/, '');
}

/** At most three of the candidates, the likeliest first. */
export function nearest(text: string, candidates: readonly string[]): string[] {
  return [...new Set(candidates)]
    .map((candidate) => ({ candidate, distance: editDistance(text, candidate) }))
    .filter(({ candidate, distance }) => distance <= Math.max(3, candidate.length / 3))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(swap, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
