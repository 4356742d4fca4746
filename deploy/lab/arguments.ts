/** Options of the lab's verbs. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { codeOf, LabError, messageOf } from './errors.ts';
import { LabPaths, labNameFault } from './names.ts';

export interface Parsed {
  paths: LabPaths;
  values: Record<string, string | boolean | string[] | undefined>;
  positionals: string[];
  /** What stands behind `--`. */
  rest: string[];
}

const NAME = { name: { type: 'string' } } as const;
const SETTING = 'agent.PATH=VALUE or controller.PATH=VALUE';

/** Throws `LAB_USAGE`. Every verb has `--name`, which AQUIFER_LAB stands in for. */
export function parse(
  verb: string,
  args: readonly string[],
  options: ParseArgsOptionsConfig,
  env: NodeJS.ProcessEnv,
): Parsed {
  const split = args.indexOf('--');
  const own = split === -1 ? args : args.slice(0, split);
  const rest = split === -1 ? [] : args.slice(split + 1);
  try {
    const parsed = parseArgs({
      args: [...own],
      options: { ...NAME, ...options },
      allowPositionals: true,
      strict: true,
    });
    const values = parsed.values as Parsed['values'];
    const name = typeof values.name === 'string' ? values.name : env.AQUIFER_LAB || 'lab';
    const fault = labNameFault(name);
    if (fault !== null) throw usage(fault);
    return { paths: new LabPaths(name), values, positionals: parsed.positionals, rest };
  } catch (error) {
    if (!codeOf(error).startsWith('ERR_PARSE_ARGS_')) throw error;
    throw usage(`lab ${verb}: ${messageOf(error).split('. ')[0]}`);
  }
}

export function usage(message: string, hint = 'aquifer lab help'): LabError {
  return new LabError('LAB_USAGE', message, { hint });
}

/** A whole number within bounds, or the default. */
export function integer(parsed: Parsed, option: string, fallback: number, least: number, most: number): number {
  const text = parsed.values[option];
  if (typeof text !== 'string') return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw usage(`--${option}: "${text}" is no whole number from ${least} to ${most}`);
}

/** Options with a `=` in them, in order; `shape` is what messages call them. */
export function pairs(parsed: Parsed, option: string, shape = 'NAME=COMMAND'): [string, string][] {
  const given = parsed.values[option];
  return (Array.isArray(given) ? given : []).map((text) => {
    const at = text.indexOf('=');
    if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
    throw usage(`--${option}: "${text}" is not ${shape}`);
  });
}

/** `--set agent.limits.connectTimeoutMs=100`: a path into the configuration of `agent` or `controller`; values are JSON or text. */
export function settings(parsed: Parsed, of: 'agent' | 'controller'): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [path, value] of pairs(parsed, 'set', SETTING)) {
    const [head, ...keys] = path.split('.');
    if (head !== 'agent' && head !== 'controller') {
      throw usage(`--set: "${path}" is not ${SETTING}`, 'the fields are in docs/reference/agent-config.md');
    }
    if (head === of) place(result, keys, jsonOrText(value));
  }
  return result;
}

function place(into: Record<string, unknown>, keys: readonly string[], value: unknown): void {
  const [key = '', ...more] = keys;
  if (more.length === 0) into[key] = value;
  else {
    const inner = (into[key] ?? {}) as Record<string, unknown>;
    into[key] = inner;
    place(inner, more, value);
  }
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
