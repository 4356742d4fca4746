/** Bounds of the balancer's memory and of its patience. */
export interface BalanceLimits {
  /** Clients that sessionAffinity remembers; the one that was quiet longest is forgotten first. */
  affinityEntries: number;
  /** Endpoints with failures that are remembered; the oldest is forgotten first. */
  ejectionEntries: number;
  /** First ejection; doubles with each further failure in a row. */
  ejectionMinMs: number;
  ejectionMaxMs: number;
}

/** An ejection starts short: the pod may only be starting, and with a few endpoints each one counts. */
export const BALANCE_LIMITS: Readonly<BalanceLimits> = Object.freeze({
  affinityEntries: 65_536,
  ejectionEntries: 8_192,
  ejectionMinMs: 500,
  ejectionMaxMs: 30_000,
});
