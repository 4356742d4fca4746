import type { Identity } from './workload.ts';

const SPIFFE = 'spiffe://';
/** Path segments of the SPIFFE-ID specification §2.2; the trust domain of §2.1 is the lower-case subset. */
const SPIFFE_ID = /^spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/([A-Za-z0-9._=-]+)\/sa\/([A-Za-z0-9._=-]+)$/;

/** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export function formatSpiffe(identity: Identity): string {
  return SPIFFE + formatPrincipal(identity);
}

/** What policies call a principal: the SPIFFE ID without its scheme. */
export function formatPrincipal(identity: Identity): string {
  return `${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}

/** Null for every other form: another path is another kind of workload, never ours. At most 2048 bytes (SPIFFE-ID §2.3). */
export function parseSpiffe(id: string): Identity | null {
  if (id.length > 2048) return null;
  const match = SPIFFE_ID.exec(id);
  if (match === null) return null;
  const [, trustDomain = '', namespace = '', serviceAccount = ''] = match;
  return { trustDomain, namespace, serviceAccount };
}

export function sameIdentity(a: Identity, b: Identity): boolean {
  return a.trustDomain === b.trustDomain && a.namespace === b.namespace && a.serviceAccount === b.serviceAccount;
}

/** A principal as a policy may write it, with or without the scheme, in the form that is compared. */
export function withoutScheme(principal: string): string {
  return principal.startsWith(SPIFFE) ? principal.slice(SPIFFE.length) : principal;
}
