import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { MeshError } from '../model/errors.ts';
import { nearest } from './nearest.ts';
import { type Config, ConfigSchema } from './schema.ts';

/**
 * Reads, checks and freezes the configuration file (JSON).
 * Throws `MESH_CONFIG_INVALID`; its message has one line for each fault, naming field and reason.
 */
export function loadConfig(file: string): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new MeshError('MESH_CONFIG_INVALID', `${file}: cannot be read`, { cause, hint: 'pass --config FILE' });
  }
  return parseConfig(text, file);
}

/** As `loadConfig`, from text; `source` names it in messages. */
export function parseConfig(text: string, source: string): Config {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new MeshError('MESH_CONFIG_INVALID', `${source}: not JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = ConfigSchema.safeParse(value);
  if (!parsed.success) {
    const faults = parsed.error.issues.flatMap(describe).map((fault) => `${source}: ${fault}`);
    throw new MeshError('MESH_CONFIG_INVALID', faults.join('\n'));
  }
  return freeze(parsed.data);
}

function describe(issue: z.core.$ZodIssue): string[] {
  const field = issue.path.join('.');
  if (issue.code !== 'unrecognized_keys') return [`${field}: ${issue.message}`];
  const known = keysAt(issue.path);
  return issue.keys.map((key) => {
    const guess = nearest(key, known);
    return `${field === '' ? key : `${field}.${key}`}: unknown field${guess === null ? '' : `; did you mean ${guess}?`}`;
  });
}

/** Field names that the schema has at a path, through the wrappers that defaults add. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = ConfigSchema;
  for (const step of path) schema = shapeOf(schema)[String(step)];
  return Object.keys(shapeOf(schema));
}

function shapeOf(schema: unknown): Record<string, unknown> {
  let at = schema as { shape?: Record<string, unknown>; def?: { innerType?: unknown } } | undefined;
  while (at !== undefined && at.shape === undefined) at = at.def?.innerType as typeof at;
  return at?.shape ?? {};
}

function freeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) freeze(inner);
  return Object.freeze(value);
}
