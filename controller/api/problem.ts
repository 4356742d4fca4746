/** One fault of the input, told so that it can be mended without looking anything up. */
export interface Problem {
  /** File name, or `-` for what came over the API. */
  file: string;
  /** 1-based line of the field, or of its nearest parent that is there. */
  line: number;
  /** `spec.rules[0].to[1].ports[0]`; empty: the document. */
  field: string;
  reason: string;
  hint?: string;
}

/** A path into a document as zod reports it. */
export type FieldPath = readonly PropertyKey[];

/** `['spec', 'rules', 0]` → `spec.rules[0]`. Keys that are no plain words are quoted. */
export function formatPath(path: FieldPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[\w$-]+$/.test(String(part))) text += text === '' ? String(part) : `.${String(part)}`;
    else text += `[${JSON.stringify(String(part))}]`;
  }
  return text;
}

/** Reads what `formatPath` wrote, without its quoted keys. */
export function parsePath(text: string): FieldPath {
  return [...text.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(([, index, key]) =>
    index === undefined ? (key ?? '') : Number(index),
  );
}

/** `file:line: field: reason (hint)`, the form compilers use, so that editors find the place. */
export function formatProblem(problem: Problem): string {
  const field = problem.field === '' ? '' : `${problem.field}: `;
  const hint = problem.hint === undefined ? '' : ` (${problem.hint})`;
  return `${problem.file}:${problem.line}: ${field}${problem.reason}${hint}`;
}
