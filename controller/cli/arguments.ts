import { type ParseArgsConfig, type ParseArgsOptionDescriptor, parseArgs } from 'node:util';
import { nearest } from '../api/suggest.ts';
import { codeOf, usageError } from './errors.ts';

export type OptionSpecs = Record<string, ParseArgsOptionDescriptor>;

/** Options that every verb of the mesh has. */
const COMMON: OptionSpecs = { lab: { type: 'string' }, help: { type: 'boolean', short: 'h' } };

/** What followed a verb. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: Record<string, unknown>;

  constructor(positionals: readonly string[], values: Record<string, unknown>) {
    this.positionals = positionals;
    this.#values = values;
  }

  text(name: string): string | null {
    const value = this.#values[name];
    return typeof value === 'string' ? value : null;
  }

  all(name: string): string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  /** One of `choices`, the first when the option is absent. */
  choice<T extends string>(name: string, choices: readonly [T, ...T[]]): T {
    const value = this.text(name);
    if (value === null) return choices[0];
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    const close = nearest(value, choices);
    const hint = close === null ? 'aquifer help tells about each verb' : `did you mean "${close}"?`;
    throw usageError(`--${name}: "${value}" is not one of ${choices.join(', ')}`, hint);
  }
}

/** Parses what follows `verb`; null when the user asked for help. Throws a usage error that names the nearest option. */
export function parseArguments(verb: string, args: readonly string[], options: OptionSpecs): Arguments | null {
  const known: OptionSpecs = { ...COMMON, ...options };
  const config: ParseArgsConfig = { args: [...args], options: known, allowPositionals: true, strict: true };
  try {
    const { positionals, values } = parseArgs(config);
    return values.help === true ? null : new Arguments(positionals, values);
  } catch (error) {
    if (!codeOf(error).startsWith('ERR_PARSE_ARGS_')) throw error;
    throw usageError(`${verb}: ${reasonOf(error as Error, known)}`, `aquifer help ${verb}`);
  }
}

/** Throws when there are more operands than the verb takes. */
export function atMost(count: number, verb: string, positionals: readonly string[]): void {
  const extra = positionals[count];
  if (extra !== undefined) throw usageError(`${verb}: "${extra}" is one argument too many`, `aquifer help ${verb}`);
}

/** `did you mean "apply"?`, or the whole list. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const close = nearest(word, candidates);
  return close === null ? `known are ${candidates.join(', ')}` : `did you mean "${close}"?`;
}

function reasonOf(error: Error, known: OptionSpecs): string {
  const unknown = /^Unknown option '(--?)([^']+)'/.exec(error.message);
  if (unknown === null) return (error.message.split('. ')[0] ?? error.message).replace(/\.$/, '');
  const [, dashes = '', name = ''] = unknown;
  const close = dashes === '--' ? nearest(name, Object.keys(known)) : null;
  return `unknown option ${dashes}${name}${close === null ? '' : `, did you mean --${close}?`}`;
}
