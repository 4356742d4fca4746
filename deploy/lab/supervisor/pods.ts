/** Pods out of Deployments and of manifests of their own. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { type Deployment, namespaceOf, type Pod, type PodSpec } from '../cluster/objects.ts';
import { HASH_LABEL, type RolloutStep, rolloutStep, templateHash } from '../cluster/rollout.ts';

/** Which deployment a pod is of; in the annotations, where no selector of the user sees it. */
const DEPLOYMENT_ANNOTATION = 'lab.aquifer.dev/deployment';
/** Hash of the manifest's spec: another one means another pod. */
const SPEC_ANNOTATION = 'lab.aquifer.dev/spec';
/** Letters and digits that no name turns into a word with, as Kubernetes chooses them. */
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

export function deploymentOf(pod: Pod): string | null {
  return pod.metadata.annotations?.[DEPLOYMENT_ANNOTATION] ?? null;
}

/** The next step of a deployment's roll-out among all pods of the cluster. */
export function wantedPods(deployment: Deployment, pods: readonly Pod[]): RolloutStep {
  const own = pods.filter(
    (pod) => namespaceOf(pod) === namespaceOf(deployment) && deploymentOf(pod) === deployment.metadata.name,
  );
  return rolloutStep(deployment, own);
}

/** A new pod of the deployment's template, with a name and uid of its own. */
export function podOf(deployment: Deployment): Pod {
  const { metadata = {}, spec } = deployment.spec.template;
  const hash = templateHash(deployment);
  const owner = `${deployment.metadata.name}-${hash}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${owner}-${suffix()}`,
      namespace: namespaceOf(deployment),
      uid: randomUUID(),
      labels: { ...metadata.labels, [HASH_LABEL]: hash },
      annotations: { ...metadata.annotations, [DEPLOYMENT_ANNOTATION]: deployment.metadata.name },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: owner,
          uid: stableUuid(`${namespaceOf(deployment)}/${owner}`),
          controller: true,
        },
      ],
      creationTimestamp: new Date().toISOString(),
    },
    spec: completed(spec),
  };
}

/** A pod that has a manifest of its own. */
export function barePod(source: Pod): Pod {
  const { name, labels, annotations } = source.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: namespaceOf(source),
      uid: randomUUID(),
      ...(labels === undefined ? {} : { labels }),
      annotations: { ...annotations, [SPEC_ANNOTATION]: specHash(source.spec) },
      creationTimestamp: new Date().toISOString(),
    },
    spec: completed(source.spec),
  };
}

/** The running pod with the manifest's labels and annotations, or `null` when its spec asks for another pod. */
export function updatedMetadata(current: Pod, wanted: Pod): Pod | null {
  const spec = (pod: Pod): string | undefined => pod.metadata.annotations?.[SPEC_ANNOTATION];
  if (spec(current) !== spec(wanted)) return null;
  const { labels: _labels, ...rest } = current.metadata;
  const address = current.metadata.annotations?.['lab.aquifer.dev/address'];
  const annotations = {
    ...wanted.metadata.annotations,
    ...(address === undefined ? {} : { 'lab.aquifer.dev/address': address }),
  };
  const { labels } = wanted.metadata;
  return { ...current, metadata: { ...rest, ...(labels === undefined ? {} : { labels }), annotations } };
}

function completed(spec: PodSpec): PodSpec {
  return { restartPolicy: 'Always', serviceAccountName: 'default', ...spec };
}

function specHash(spec: PodSpec): string {
  return createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 12);
}

function suffix(): string {
  return [...randomBytes(5)].map((byte) => SUFFIX_ALPHABET[byte % SUFFIX_ALPHABET.length]).join('');
}

function stableUuid(of: string): string {
  const hex = createHash('sha256').update(of).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}
