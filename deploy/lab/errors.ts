/** Errors that the user reads: what went wrong and what to do about it. */

export type LabErrorCode =
  | 'LAB_USAGE'
  | 'LAB_NO_ROOT'
  | 'LAB_TOOL_MISSING'
  | 'LAB_KERNEL_MISSING'
  | 'LAB_NAME_TAKEN'
  | 'LAB_NOT_UP'
  | 'LAB_UNKNOWN_POD'
  | 'LAB_UNKNOWN_TARGET'
  | 'LAB_COMMAND_FAILED'
  | 'LAB_API'
  | 'LAB_POOL_EXHAUSTED'
  | 'LAB_CHILD_FAILED';

/** `hint` says the likely remedy; the CLI prints it on a line of its own. */
export class LabError extends Error {
  readonly code: LabErrorCode;
  readonly hint: string | null;

  constructor(code: LabErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'LabError';
    this.code = code;
    this.hint = options.hint ?? null;
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a system error, else an empty string. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
