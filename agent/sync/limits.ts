/** Bounds of the connection to the controller. */
export interface SyncLimits {
  /** First pause before a reconnect; doubles each time. */
  backoffMinMs: number;
  backoffMaxMs: number;
  /** TCP, TLS and HTTP/2 settings together. */
  connectTimeoutMs: number;
  /** A silent stream is pinged after this and given up `keepaliveTimeoutMs` later; istiod refuses pings below 15 s. */
  keepaliveTimeMs: number;
  keepaliveTimeoutMs: number;
  /** One response; a first one of 10,000 workloads takes about 6 MB. */
  responseBytes: number;
  /** The state file; a larger one is neither written nor read. */
  stateFileBytes: number;
  /** Pause after a change before the state is written. */
  stateWriteDelayMs: number;
  /** Text of a NACK; what does not fit is in the agent's log. */
  nackCharacters: number;
}

/** Defaults. */
export const SYNC_LIMITS: Readonly<SyncLimits> = Object.freeze({
  backoffMinMs: 10,
  backoffMaxMs: 15_000,
  connectTimeoutMs: 5_000,
  keepaliveTimeMs: 20_000,
  keepaliveTimeoutMs: 10_000,
  responseBytes: 128 * 1024 * 1024,
  stateFileBytes: 256 * 1024 * 1024,
  stateWriteDelayMs: 200,
  nackCharacters: 4_096,
});
