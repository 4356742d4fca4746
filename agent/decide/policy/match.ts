import type { Cidr, Match } from '../../model/policy.ts';
import { CidrSet } from './cidr-set.ts';
import { PortSet } from './port-set.ts';
import { StringSet } from './string-set.ts';
import { accountOf, type Subject } from './subject.ts';

/** A field by which a rule can be found instead of being tried. */
export type IndexField =
  | 'principals'
  | 'serviceAccounts'
  | 'namespaces'
  | 'destinationPorts'
  | 'services'
  | 'toNamespaces'
  | 'toPorts';
export type CidrField = 'sourceIps' | 'destinationIps' | 'ipBlocks';

/** The values of which a connection must have one for the match to be possible. */
export type IndexKeys =
  | { field: IndexField; values: readonly (string | number)[] }
  | { field: CidrField; blocks: readonly Cidr[] };

/** One alternative of a clause. */
export interface Matcher {
  /** Null when it matches, else the first field that does not. */
  mismatch(subject: Subject): string | null;
  /** Ways to find it; none: it must be tried on every connection. */
  readonly keys: readonly IndexKeys[];
}

/** Ranges wider than this are tried, not filed. */
const MAX_PORT_KEYS = 64;

/** A WDS Match ready to be tried: hash sets, prefix maps, sorted ranges. */
export class CompiledMatch implements Matcher {
  readonly keys: readonly IndexKeys[];
  readonly #empty: boolean;
  readonly #namespaces: StringSet | null;
  readonly #notNamespaces: StringSet | null;
  readonly #principals: StringSet | null;
  readonly #notPrincipals: StringSet | null;
  readonly #accounts: ReadonlySet<string> | null;
  readonly #notAccounts: ReadonlySet<string> | null;
  readonly #sourceIps: CidrSet | null;
  readonly #notSourceIps: CidrSet | null;
  readonly #destinationIps: CidrSet | null;
  readonly #notDestinationIps: CidrSet | null;
  readonly #ports: PortSet | null;
  readonly #notPorts: PortSet | null;

  constructor(match: Match) {
    this.#empty = Object.values(match).every((values) => values.length === 0);
    this.#namespaces = StringSet.of(match.namespaces);
    this.#notNamespaces = StringSet.of(match.notNamespaces);
    this.#principals = StringSet.of(match.principals);
    this.#notPrincipals = StringSet.of(match.notPrincipals);
    this.#accounts = accountsOf(match.serviceAccounts);
    this.#notAccounts = accountsOf(match.notServiceAccounts);
    this.#sourceIps = CidrSet.of(match.sourceIps);
    this.#notSourceIps = CidrSet.of(match.notSourceIps);
    this.#destinationIps = CidrSet.of(match.destinationIps);
    this.#notDestinationIps = CidrSet.of(match.notDestinationIps);
    this.#ports = PortSet.of(match.destinationPorts);
    this.#notPorts = PortSet.of(match.notDestinationPorts);
    this.keys = this.#indexKeys();
  }

  /**
   * An identity that is not known satisfies every `not` field, of an Allow as well as of a Deny: the WDS rule, which the
   * shared vectors hold fixed. Whoever writes an Allow with only `not` fields admits callers without an identity;
   * add `principals: ["*"]` to leave them out.
   */
  mismatch(subject: Subject): string | null {
    // WDS: a match in which no field is set never matches.
    if (this.#empty) return 'no field is set';
    return this.#identityMismatch(subject) ?? this.#addressMismatch(subject);
  }

  #identityMismatch(subject: Subject): string | null {
    const { identity } = subject;
    if (identity === null) {
      if (this.#principals !== null) return 'principals';
      if (this.#accounts !== null) return 'serviceAccounts';
      return this.#namespaces === null ? null : 'namespaces';
    }
    if (this.#principals !== null && !this.#principals.has(subject.principal)) return 'principals';
    if (this.#notPrincipals?.has(subject.principal)) return 'notPrincipals';
    if (this.#accounts !== null && !this.#accounts.has(subject.account)) return 'serviceAccounts';
    if (this.#notAccounts?.has(subject.account)) return 'notServiceAccounts';
    if (this.#namespaces !== null && !this.#namespaces.has(identity.namespace)) return 'namespaces';
    if (this.#notNamespaces?.has(identity.namespace)) return 'notNamespaces';
    return null;
  }

  #addressMismatch(subject: Subject): string | null {
    const port = subject.facts.destinationPort;
    if (this.#ports !== null && !this.#ports.has(port)) return 'destinationPorts';
    if (this.#notPorts?.has(port)) return 'notDestinationPorts';
    if (this.#sourceIps !== null && !this.#sourceIps.has(subject.sourceAddress)) return 'sourceIps';
    if (this.#notSourceIps?.has(subject.sourceAddress)) return 'notSourceIps';
    if (this.#destinationIps !== null && !this.#destinationIps.has(subject.destinationAddress)) return 'destinationIps';
    if (this.#notDestinationIps?.has(subject.destinationAddress)) return 'notDestinationIps';
    return null;
  }

  #indexKeys(): IndexKeys[] {
    const keys: IndexKeys[] = [];
    if (this.#principals?.exactOnly) keys.push({ field: 'principals', values: [...this.#principals.exact] });
    if (this.#accounts !== null) keys.push({ field: 'serviceAccounts', values: [...this.#accounts] });
    if (this.#namespaces?.exactOnly) keys.push({ field: 'namespaces', values: [...this.#namespaces.exact] });
    if (this.#sourceIps !== null) keys.push({ field: 'sourceIps', blocks: this.#sourceIps.blocks });
    if (this.#destinationIps !== null) keys.push({ field: 'destinationIps', blocks: this.#destinationIps.blocks });
    const ports = this.#ports?.list(MAX_PORT_KEYS);
    if (ports) keys.push({ field: 'destinationPorts', values: ports });
    return keys;
  }
}

function accountsOf(refs: Match['serviceAccounts']): ReadonlySet<string> | null {
  return refs.length === 0 ? null : new Set(refs.map((ref) => accountOf(ref.namespace, ref.serviceAccount)));
}
