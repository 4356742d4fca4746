import type { StringMatch } from '../../model/policy.ts';

/** Any of some string matches; exact ones cost one hash look-up however many there are. */
export class StringSet {
  /** Every match is exact, so that a rule can be found by its values. */
  readonly exactOnly: boolean;
  readonly exact: ReadonlySet<string>;
  readonly #prefixes: readonly string[];
  readonly #suffixes: readonly string[];
  readonly #presence: boolean;

  constructor(matches: readonly StringMatch[]) {
    const values = (kind: StringMatch['kind']) =>
      matches.flatMap((m) => (m.kind === kind && 'value' in m ? m.value : []));
    this.exact = new Set(values('exact'));
    this.#prefixes = values('prefix');
    this.#suffixes = values('suffix');
    this.#presence = matches.some((m) => m.kind === 'presence');
    this.exactOnly = matches.every((m) => m.kind === 'exact');
  }

  /** Null for no matches: the field is not set. */
  static of(matches: readonly StringMatch[]): StringSet | null {
    return matches.length === 0 ? null : new StringSet(matches);
  }

  has(value: string): boolean {
    if (this.exact.has(value)) return true;
    if (this.#presence && value !== '') return true;
    for (const prefix of this.#prefixes) if (value.startsWith(prefix)) return true;
    for (const suffix of this.#suffixes) if (value.endsWith(suffix)) return true;
    return false;
  }
}
