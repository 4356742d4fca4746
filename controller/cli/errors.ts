/** What the shell gets: 0 done, 1 failed or invalid, 2 the command line itself is wrong. */
export const EXIT = Object.freeze({ ok: 0, failed: 1, usage: 2 });

/** A message for the user: what is wrong and where, and the likely fix. */
export class CliError extends Error {
  readonly exitCode: number;
  readonly hint: string | null;

  constructor(message: string, options: { hint?: string; exitCode?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CliError';
    this.exitCode = options.exitCode ?? EXIT.failed;
    this.hint = options.hint ?? null;
  }
}

/** The command line is wrong; exit code 2. */
export function usageError(message: string, hint: string): CliError {
  return new CliError(message, { hint, exitCode: EXIT.usage });
}

/** `code` of a failed system call (`ENOENT`), or an empty string. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
