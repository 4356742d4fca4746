import type { z } from 'zod';
import { L7_FIELDS } from './l4-policy.ts';
import type { FieldPath } from './problem.ts';
import { nearest } from './suggest.ts';

/** One fault, before it is given its place in a file. */
export interface Fault {
  path: FieldPath;
  reason: string;
  hint?: string;
}

type Issue = z.core.$ZodIssue;

/** Turns zod's findings into sentences; `input` is what was validated, for "not a number" and the like. */
export function faultsOf(schema: z.ZodType, input: unknown, issues: readonly Issue[]): Fault[] {
  return issues.flatMap((issue) => describe(schema, input, issue));
}

function describe(schema: z.ZodType, input: unknown, issue: Issue): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, issue.path);
    return issue.keys.map((key) => unknownField([...issue.path, key], key, known));
  }
  const value = at(input, issue.path);
  const fault: Fault = { path: issue.path, reason: reasonOf(issue, value) };
  const hint = hintOf(issue, value);
  return [hint === undefined ? fault : { ...fault, hint }];
}

function unknownField(path: FieldPath, key: string, known: readonly string[]): Fault {
  if (L7_FIELDS.has(key)) {
    return { path, reason: `${key} is an L7 field: it belongs in an L7Policy`, hint: 'an L4Policy sees connections' };
  }
  const near = nearest(key, known);
  const hint = near === null ? `known here: ${known.join(', ')}` : `did you mean ${near}?`;
  return { path, reason: `unknown field "${key}"`, hint };
}

function reasonOf(issue: Issue, value: unknown): string {
  // Messages that a schema gives itself are sentences already.
  if (!/^(Invalid|Too|Unrecognized) /.test(issue.message)) return issue.message;
  if (value === undefined) return 'is required';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${article(issue.expected)}, not ${describeValue(value)}`;
    case 'invalid_value':
      return `must be ${issue.values.map(String).join(' or ')}, not ${describeValue(value)}`;
    case 'invalid_union':
      return unionReason(issue, value);
    case 'too_small':
      return `must ${issue.origin === 'number' ? 'be' : 'have'} at least ${issue.minimum}`;
    case 'too_big':
      return `must ${issue.origin === 'number' ? 'be' : 'have'} at most ${issue.maximum}`;
    default:
      return issue.message;
  }
}

function unionReason(issue: Extract<Issue, { code: 'invalid_union' }>, value: unknown): string {
  const branches = issue.errors.map((errors) => errors[0]).filter((error) => error !== undefined);
  const specific = branches.find(({ code }) => code !== 'invalid_type' && code !== 'invalid_value');
  if (specific !== undefined) return reasonOf(specific, value);
  const kinds = branches.map((error) => {
    if (error.code === 'invalid_type') return article(error.expected);
    return error.code === 'invalid_value' ? error.values.map((option) => JSON.stringify(option)).join(' or ') : '';
  });
  return `must be ${[...new Set(kinds)].join(' or ')}, not ${describeValue(value)}`;
}

function hintOf(issue: Issue, value: unknown): string | undefined {
  if (issue.code === 'custom') return typeof issue.params?.hint === 'string' ? issue.params.hint : undefined;
  if (issue.code === 'invalid_value' && typeof value === 'string') {
    const near = nearest(value, issue.values.map(String));
    return near === null ? undefined : `did you mean ${near}?`;
  }
  const wantsText = issue.code === 'invalid_type' && issue.expected === 'string';
  return wantsText && (typeof value === 'number' || typeof value === 'boolean') ? 'put it in quotes' : undefined;
}

function article(type: string): string {
  if (type === 'int') return 'a whole number';
  if (type === 'record' || type === 'object') return 'a map';
  if (type === 'array') return 'a list';
  return `a ${type}`;
}

function describeValue(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The value at a path, undefined where it ends early. */
export function at(input: unknown, path: FieldPath): unknown {
  let value = input;
  for (const part of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

interface SchemaDef {
  type: string;
  shape?: Record<string, z.core.$ZodType>;
  innerType?: z.core.$ZodType;
  element?: z.core.$ZodType;
  valueType?: z.core.$ZodType;
}

function defOf(schema: z.core.$ZodType): SchemaDef {
  let def = schema._zod.def as unknown as SchemaDef;
  while (def.innerType !== undefined) def = def.innerType._zod.def as unknown as SchemaDef;
  return def;
}

function knownKeys(schema: z.ZodType, path: FieldPath): string[] {
  let current: z.core.$ZodType | undefined = schema;
  for (const part of path) {
    if (current === undefined) return [];
    const def = defOf(current);
    current = def.shape?.[String(part)] ?? def.element ?? def.valueType;
  }
  return current === undefined ? [] : Object.keys(defOf(current).shape ?? {});
}
