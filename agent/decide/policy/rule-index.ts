import type { Cidr } from '../../model/policy.ts';
import { CidrMap } from './cidr-set.ts';
import { type Clause, type CompiledPolicy, type CompiledRule, ruleMatches } from './compiled-policy.ts';
import type { CidrField, IndexField, IndexKeys, Matcher } from './match.ts';
import type { Subject } from './subject.ts';

interface Entry {
  rule: CompiledRule;
  /** Position of its policy in the order of names: the first that matches is the one that decides. */
  order: number;
}

/**
 * The rules of many policies, filed under values that a connection must have, so that a decision tries only the rules
 * that can match: 10,000 policies that each name a caller cost what 10 do. Rules without such a value are tried always.
 */
export class RuleIndex {
  readonly #byValue = new Map<IndexField, Map<string | number, Entry[]>>();
  readonly #byBlock = new Map<CidrField, CidrMap<Entry>>();
  readonly #always: Entry[] = [];

  /** `policies` in the order of their names. */
  constructor(policies: readonly CompiledPolicy[]) {
    const filings = policies.flatMap((policy, order) =>
      policy.rules.map((rule) => ({ entry: { rule, order }, options: filingsOf(rule) })),
    );
    const crowd = countValues(filings.flatMap(({ options }) => options));
    for (const { entry, options } of filings) this.#file(entry, leastCrowded(options, crowd));
  }

  /** The first policy that matches, in the order of names; null: none. */
  first(subject: Subject): CompiledPolicy | null {
    let best: Entry | null = null;
    this.#visit(subject, (entries) => {
      for (const entry of entries) {
        if (best !== null && entry.order >= best.order) continue;
        if (entry.rule.policy.appliesTo(subject) && ruleMatches(entry.rule, subject)) best = entry;
      }
    });
    return (best as Entry | null)?.rule.policy ?? null;
  }

  #file(entry: Entry, filing: readonly IndexKeys[] | null): void {
    if (filing === null) this.#always.push(entry);
    else for (const keys of filing) this.#fileUnder(entry, keys);
  }

  #fileUnder(entry: Entry, keys: IndexKeys): void {
    if ('blocks' in keys) {
      const map = this.#byBlock.getOrInsertComputed(keys.field, () => new CidrMap());
      for (const block of keys.blocks) map.add(block, entry);
      return;
    }
    const map = this.#byValue.getOrInsertComputed(keys.field, () => new Map());
    for (const value of keys.values) map.getOrInsertComputed(value, () => []).push(entry);
  }

  #visit(subject: Subject, visitor: (entries: readonly Entry[]) => void): void {
    if (this.#always.length > 0) visitor(this.#always);
    for (const [field, map] of this.#byValue) {
      for (const value of valuesOf(field, subject)) {
        const entries = map.get(value);
        if (entries !== undefined) visitor(entries);
      }
    }
    for (const [field, map] of this.#byBlock) {
      for (const address of addressesOf(field, subject)) map.visit(address, visitor);
    }
  }
}

/** For each clause, and each field that all its alternatives set: the values under which the rule could be filed. */
function filingsOf(rule: CompiledRule): IndexKeys[][] {
  return rule.clauses.flatMap((clause) => clauseFilings(clause));
}

function clauseFilings(clause: Clause): IndexKeys[][] {
  const [first, ...others] = clause;
  if (first === undefined) return [];
  return first.keys.flatMap((keys) => {
    const same = others.map((matcher) => keysFor(matcher, keys.field));
    return same.includes(undefined) ? [] : [[keys, ...same.filter((found) => found !== undefined)]];
  });
}

function keysFor(matcher: Matcher, field: IndexKeys['field']): IndexKeys | undefined {
  return matcher.keys.find((keys) => keys.field === field);
}

type Crowd = Map<string, number>;

function countValues(filings: readonly (readonly IndexKeys[])[]): Crowd {
  const crowd: Crowd = new Map();
  for (const keys of filings.flat()) {
    for (const name of namesOf(keys)) crowd.set(name, (crowd.get(name) ?? 0) + 1);
  }
  return crowd;
}

/** The filing whose fullest bucket is the emptiest: ten thousand rules for one caller are better filed by port. */
function leastCrowded(filings: readonly (readonly IndexKeys[])[], crowd: Crowd): readonly IndexKeys[] | null {
  let best: readonly IndexKeys[] | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const filing of filings) {
    let fullest = 0;
    for (const name of filing.flatMap(namesOf)) fullest = Math.max(fullest, crowd.get(name) ?? 0);
    if (fullest < least) [best, least] = [filing, fullest];
  }
  return best;
}

function namesOf(keys: IndexKeys): string[] {
  if (!('blocks' in keys)) return keys.values.map((value) => `${keys.field} ${value}`);
  return keys.blocks.map((block: Cidr) => `${keys.field} ${block.bytes.join('.')}/${block.length}`);
}

function valuesOf(field: IndexField, subject: Subject): readonly (string | number)[] {
  const { facts, identity } = subject;
  switch (field) {
    case 'principals':
      return identity === null ? [] : [subject.principal];
    case 'serviceAccounts':
      return identity === null ? [] : [subject.account];
    case 'namespaces':
      return identity === null ? [] : [identity.namespace];
    case 'destinationPorts':
      return [facts.destinationPort];
    case 'toPorts':
      return subject.askedPorts;
    case 'services':
      return subject.services.map((service) => `${service.namespace}/${service.name}`);
    case 'toNamespaces':
      return [facts.destination?.namespace, facts.service?.namespace].filter((name) => name !== undefined);
  }
}

function addressesOf(field: CidrField, subject: Subject): readonly (number | bigint)[] {
  if (field === 'ipBlocks') return subject.askedAddresses;
  const address = field === 'sourceIps' ? subject.sourceAddress : subject.destinationAddress;
  return address === null ? [] : [address];
}
