/** One table of the agent's errors: permanent codes, each with what a reader should do about it. */
export const MESH_ERRORS = {
  MESH_CONFIG_INVALID: 'The configuration is not valid; the message names field and reason.',
  MESH_NATIVE_MISSING: 'The addon has not been built; run `make build`.',
  MESH_BPF_UNSUPPORTED: 'The kernel lacks a feature; `aquifer check --node` names it and the least kernel version.',
  MESH_BPF_LOAD: 'A BPF program was refused; the verifier log is attached.',
  MESH_ENROL_FAILED: 'A pod could not be enrolled; its traffic is refused until it can be.',
  MESH_SYNC_REJECTED: 'A resource from the controller was refused; the last good version stays live.',
  MESH_LIMIT: 'A configured limit was reached; the metric of the same name counts it.',
} as const;

export type MeshErrorCode = keyof typeof MESH_ERRORS;

/** `hint` is the likely fix, shown to the user after the message. */
export class MeshError extends Error {
  readonly code: MeshErrorCode;
  readonly hint: string | null;

  constructor(code: MeshErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MeshError';
    this.code = code;
    this.hint = options.hint ?? null;
  }
}
