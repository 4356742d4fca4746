import type { Palette } from './palette.ts';

/** What a verb may touch of the process; tests hand in their own. */
export interface Context {
  out(text: string): void;
  err(text: string): void;
  /** All of the standard input. */
  readInput(): Promise<string>;
  palette: Palette;
  /** Where the labs keep their state, `/run/aquifer`. */
  runDirectory: string;
  /** AQUIFER_LAB, or `lab`. */
  defaultLab: string;
  /** Aborted by Ctrl-C; verbs that follow a stream end it then. */
  signal: AbortSignal;
}

/** One verb of the command. `run` gets what follows the verb and returns the exit code. */
export interface Verb {
  name: string;
  /** One line for the list of verbs. */
  summary: string;
  /** The full help: usage, options, examples. */
  help: string;
  run(args: readonly string[], context: Context): Promise<number>;
}
