/** What a suite measured. */

/** The figures of one peer (or variant), a sample for each round. */
export interface Row {
  name: string;
  samples: Record<string, number[]>;
}

export interface SuiteResult {
  rows: Row[];
  /** Peers that were not to be had, and why. */
  notes: string[];
}
