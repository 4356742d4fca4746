import { DATAPLANE_MODE, ISTIO_DATAPLANE_MODE } from './metadata.ts';

type Labels = Readonly<Record<string, string>>;

/** Set by Istio's injector: the pod has a sidecar of its own. */
const SIDECAR_STATUS = 'sidecar.istio.io/status';

/**
 * Whether a pod is to be captured: its own label beats its namespace's, and where both stand, our label beats Istio's.
 * Never in the host's network (its namespace is not the pod's) and never beside a sidecar.
 */
export function wantsEnrolment(
  namespaceLabels: Labels,
  podLabels: Labels,
  annotations: Labels,
  hostNetwork: boolean,
  honourIstioLabel: boolean,
): boolean {
  if (hostNetwork || annotations[SIDECAR_STATUS] !== undefined) return false;
  const mode = modeOf(podLabels, honourIstioLabel) ?? modeOf(namespaceLabels, honourIstioLabel);
  return mode === 'ambient';
}

function modeOf(labels: Labels, honourIstioLabel: boolean): 'ambient' | 'none' | null {
  const ours = labels[DATAPLANE_MODE];
  if (ours === 'ambient' || ours === 'none') return ours;
  const theirs = honourIstioLabel ? labels[ISTIO_DATAPLANE_MODE] : undefined;
  return theirs === 'ambient' || theirs === 'none' ? theirs : null;
}
