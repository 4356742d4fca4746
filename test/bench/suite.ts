import type { Bench } from './bench.ts';

/** One column of a suite's table. */
export interface Measure {
  key: string;
  label: string;
  digits: number;
  /** The row of HAProxy is 1; shown beside the figure. */
  ratio?: true;
}

/** The figures of one peer (or variant), a sample for each round. */
export interface Row {
  name: string;
  samples: Record<string, number[]>;
}

/** What was set out to be reached: the measure of one row, in units of another's when `of` names it. */
export interface Target {
  text: string;
  row: string;
  measure: string;
  of: string | null;
  atMost: number;
}

export interface SuiteResult {
  rows: Row[];
  /** Peers that were not to be had, and why. */
  notes: string[];
}

export interface Suite {
  name: string;
  title: string;
  measures: readonly Measure[];
  targets: readonly Target[];
  run(bench: Bench): Promise<SuiteResult>;
}
