import type { Reason } from '../model/connection.ts';

/** Istio's `response_flags`: what the dashboards filter by. */
export type ResponseFlags = '-' | 'DENY' | 'CONNECT';
export const RESPONSE_FLAGS: readonly ResponseFlags[] = Object.freeze(['-', 'DENY', 'CONNECT']);

interface ReasonText {
  flags: ResponseFlags;
  /** ztunnel's wording where it has one; empty for an end that is no error. */
  error: string;
}

/** What each reason reads like in the access log, and which response flag it carries. */
export const REASONS: Readonly<Record<Reason, ReasonText>> = Object.freeze({
  ok: { flags: '-', error: '' },
  policy_denied: { flags: 'DENY', error: 'connection closed due to policy rejection: explicitly denied' },
  policy_not_allowed: {
    flags: 'DENY',
    error: 'connection closed due to policy rejection: allow policies exist, but none allowed',
  },
  policy_changed: { flags: 'DENY', error: 'connection closed due to policy change' },
  awaiting_policy: { flags: 'DENY', error: 'policies of the workload are not complete yet' },
  awaiting_workload: { flags: 'DENY', error: 'failed to fetch information about local workload' },
  awaiting_identity: { flags: 'DENY', error: 'no certificate for the workload yet' },
  no_service_port: { flags: 'CONNECT', error: 'requested service found, but cannot resolve port' },
  no_healthy_endpoint: { flags: 'CONNECT', error: 'no healthy upstream' },
  self_call: { flags: 'DENY', error: 'attempted recursive call to ourselves' },
  loop: { flags: 'DENY', error: 'attempted recursive call to ourselves' },
  identity_changed: { flags: 'DENY', error: 'connection closed because its peer is no longer who it was' },
  endpoint_removed: { flags: 'DENY', error: 'connection closed because its endpoint is gone' },
  limit_connections: { flags: 'DENY', error: 'connection limit reached' },
  connect_failed: { flags: 'CONNECT', error: 'connection to the upstream failed' },
  connect_timeout: { flags: 'CONNECT', error: 'connection timed out, maybe a NetworkPolicy is blocking it' },
  unenrolled: { flags: '-', error: 'connection closed because the pod left the mesh' },
  drain: { flags: '-', error: 'connection closed due to connection drain' },
  idle_timeout: { flags: '-', error: 'connection closed after its idle timeout' },
  reset_downstream: { flags: '-', error: 'connection reset by the client' },
  reset_upstream: { flags: '-', error: 'connection reset by the server' },
  internal: { flags: 'CONNECT', error: 'internal error' },
});
