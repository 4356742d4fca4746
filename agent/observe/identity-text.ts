import type { Identity } from '../model/workload.ts';

/** The SPIFFE ID of a workload, as in its certificate and in `source_principal`. */
export function spiffeId({ trustDomain, namespace, serviceAccount }: Identity): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}
