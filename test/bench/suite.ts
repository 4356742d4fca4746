import type { Bench } from './bench.ts';
import type { SuiteResult } from './figures.ts';

/** One column of a suite's table. */
export interface Measure {
  key: string;
  label: string;
  digits: number;
  /** The row of HAProxy is 1; shown beside the figure. */
  ratio?: true;
}

/** What was set out to be reached: the measure of one row, in units of another's when `of` names it. */
export interface Target {
  text: string;
  row: string;
  measure: string;
  of: string | null;
  atMost: number;
}

export interface Suite {
  name: string;
  title: string;
  measures: readonly Measure[];
  targets: readonly Target[];
  run(bench: Bench): Promise<SuiteResult>;
}
