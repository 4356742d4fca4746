/** What one AVA run came to. `notRun` are tests that skipped, are `todo`, or are expected to fail. */
export interface AvaTally {
  passed: number;
  failed: number;
  notRun: string[];
}

/** What a line of AVA's default reporter says about a test; null: nothing. */
export type LineKind = 'passed' | 'failed' | 'notRun' | null;

// The reporter indents by exactly two columns; what a test logs stands further in, or at the margin.
const PATTERNS: readonly [RegExp, LineKind][] = [
  [/^ {2}✔ \[expected fail\] (.*)$/, 'notRun'],
  [/^ {2}- \[(?:skip|todo)\] (.*)$/, 'notRun'],
  [/^ {2}✔ (.*)$/, 'passed'],
  [/^ {2}✘ \[(?:fail|unexpected pass)\]: (.*)$/, 'failed'],
];

// biome-ignore lint/suspicious/noControlCharactersInRegex: a colour code starts with ESC.
const COLOUR = /\u001b\[[0-9;]*m/g;

/**
 * Counts tests in the lines of AVA's default reporter. AVA's TAP reporter would be the natural source, but version 8.0.1
 * throws while it reports a test file that calls `process.exit()`, and all results with it.
 */
export class AvaOutput {
  #passed = 0;
  #failed = 0;
  #notRun: string[] = [];

  /** Takes one line without its line end, coloured or not. */
  line(text: string): LineKind {
    const plain = text.replace(COLOUR, '');
    for (const [pattern, kind] of PATTERNS) {
      const match = pattern.exec(plain);
      if (match === null) continue;
      if (kind === 'passed') this.#passed += 1;
      else if (kind === 'failed') this.#failed += 1;
      else this.#notRun.push(match[1] ?? '');
      return kind;
    }
    return null;
  }

  /** A run that exits with an error and shows no failed test (crash, time-out, no test files) counts as one failure. */
  tally(exitCode: number): AvaTally {
    const failed = exitCode !== 0 && this.#failed === 0 ? 1 : this.#failed;
    return { passed: this.#passed, failed, notRun: [...this.#notRun] };
  }
}
