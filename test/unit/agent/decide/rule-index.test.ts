import test from 'ava';
import { explain } from '../../../../agent/decide/explain.ts';
import { judgeInbound } from '../../../../agent/decide/judge.ts';
import { addressValue } from '../../../../agent/model/address.ts';
import { cidrContains } from '../../../../agent/model/cidr.ts';
import type { ConnectionFacts, Verdict } from '../../../../agent/model/connection.ts';
import { formatPrincipal } from '../../../../agent/model/identity.ts';
import type { Cidr, InboundPolicy, Match, PortRange, StringMatch } from '../../../../agent/model/policy.ts';
import { aMatch, aSnapshot, aWorkload, blocks, facts, inbound, seededRandom } from '../../../support/mesh.ts';

const NAMES = ['a', 'b', 'ab', 'c'];
const ADDRESSES = ['10.0.0.1', '10.0.1.1', '192.0.2.7', 'fd00::1', 'fd00::2:1', '2001:db8::1'];
const BLOCKS = ['10.0.0.0/24', '10.0.0.0/8', '0.0.0.0/0', '192.0.2.7/32', 'fd00::/64', 'fd00::1/128', '::/0'];
const PORTS = [80, 81, 443, 8080];

/** Judges word by word as the table of WDS says, with no index and no sets: what the engine is held against. */
function plainVerdict(
  policies: readonly InboundPolicy[],
  connection: ConnectionFacts,
): Pick<Verdict, 'allowed' | 'policy'> {
  const sorted = policies.filter((p) => p.enforcement === 'Enforce').sort((a, b) => (a.name < b.name ? -1 : 1));
  const concerned = sorted.filter(
    ({ appliesToPorts: ports }) => ports.length === 0 || ports.includes(connection.destinationPort),
  );
  const matches = (policy: InboundPolicy) =>
    policy.rules.some((rule) =>
      rule.every((clause) => clause.length === 0 || clause.some((match) => plainMatch(match, connection))),
    );
  const deny = concerned.find((policy) => policy.action === 'Deny' && matches(policy));
  if (deny !== undefined) return { allowed: false, policy: deny.name };
  const allow = concerned.find((policy) => policy.action === 'Allow' && matches(policy));
  if (allow !== undefined) return { allowed: true, policy: allow.name };
  return { allowed: !concerned.some((policy) => policy.action === 'Allow'), policy: null };
}

function plainMatch(match: Match, connection: ConnectionFacts): boolean {
  if (Object.values(match).every((values) => values.length === 0)) return false;
  const { sourceIdentity: id } = connection;
  const text = (matches: readonly StringMatch[], value: string | null) =>
    value !== null &&
    matches.some((m) => {
      if (m.kind === 'exact') return m.value === value;
      if (m.kind === 'prefix') return value.startsWith(m.value);
      return m.kind === 'suffix' ? value.endsWith(m.value) : value !== '';
    });
  const block = (list: readonly Cidr[], address: string) => {
    const value = addressValue(address);
    return value !== null && list.some((cidr) => cidrContains(cidr, value));
  };
  const port = (list: readonly PortRange[]) =>
    list.some(({ first, last }) => first <= connection.destinationPort && connection.destinationPort <= last);
  const account = (list: Match['serviceAccounts']) =>
    id !== null && list.some((ref) => ref.namespace === id.namespace && ref.serviceAccount === id.serviceAccount);
  const principal = id === null ? null : formatPrincipal(id);
  const pairs: [readonly unknown[], boolean, readonly unknown[], boolean][] = [
    [
      match.namespaces,
      text(match.namespaces, id?.namespace ?? null),
      match.notNamespaces,
      text(match.notNamespaces, id?.namespace ?? null),
    ],
    [match.principals, text(match.principals, principal), match.notPrincipals, text(match.notPrincipals, principal)],
    [
      match.serviceAccounts,
      account(match.serviceAccounts),
      match.notServiceAccounts,
      account(match.notServiceAccounts),
    ],
    [
      match.sourceIps,
      block(match.sourceIps, connection.sourceAddress),
      match.notSourceIps,
      block(match.notSourceIps, connection.sourceAddress),
    ],
    [
      match.destinationIps,
      block(match.destinationIps, connection.destinationAddress),
      match.notDestinationIps,
      block(match.notDestinationIps, connection.destinationAddress),
    ],
    [match.destinationPorts, port(match.destinationPorts), match.notDestinationPorts, port(match.notDestinationPorts)],
  ];
  return pairs.every(([positive, is, , isNot]) => (positive.length === 0 || is) && !isNot);
}

/** Random policies from a vocabulary so small that much of it meets. */
class Generator {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  one<T>(items: readonly [T, ...T[]] | readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }
  chance(probability: number): boolean {
    return this.#random() < probability;
  }
  some<T>(make: () => T, most = 2): T[] {
    return Array.from({ length: Math.floor(this.#random() * (most + 1)) }, make);
  }
  string(values: readonly string[]): StringMatch {
    const kind = this.one(['exact', 'exact', 'prefix', 'suffix', 'presence'] as const);
    return kind === 'presence' ? { kind } : { kind, value: this.one(values) };
  }
  match(): Match {
    const fields: Partial<Record<keyof Match, unknown>> = {};
    const makers: Record<string, () => unknown[]> = {
      namespaces: () => this.some(() => this.string(NAMES)),
      principals: () => this.some(() => this.string(['td/ns/a/sa/a', 'td/ns/b/sa/a', 'td/', 'a'])),
      serviceAccounts: () => this.some(() => ({ namespace: this.one(NAMES), serviceAccount: this.one(NAMES) })),
      sourceIps: () => this.some(() => blocks(this.one(BLOCKS))[0]),
      destinationIps: () => this.some(() => blocks(this.one(BLOCKS))[0]),
      destinationPorts: () => this.some(() => ({ first: this.one([1, 80, 81]), last: this.one([81, 443, 65_535]) })),
    };
    for (const [field, make] of Object.entries(makers)) {
      const not = `not${field[0]?.toUpperCase()}${field.slice(1)}` as keyof Match;
      if (this.chance(0.3)) fields[field as keyof Match] = make();
      if (this.chance(0.15)) fields[not] = make();
    }
    return aMatch(fields as Partial<Match>);
  }
  policy(i: number): InboundPolicy {
    const clause = () => this.some(() => this.match());
    return inbound(`ns/p${i}`, this.one(['Allow', 'Deny']), [], {
      rules: this.some(() => this.some(clause)),
      enforcement: this.chance(0.8) ? 'Enforce' : 'Audit',
      appliesToPorts: this.chance(0.2) ? [this.one(PORTS)] : [],
    });
  }
  connection(destination: ConnectionFacts['destination']): ConnectionFacts {
    const sourceIdentity = { trustDomain: 'td', namespace: this.one(NAMES), serviceAccount: this.one(NAMES) };
    return facts({
      destination,
      sourceIdentity: this.chance(0.2) ? null : sourceIdentity,
      sourceAddress: this.one(ADDRESSES),
      destinationAddress: this.one(ADDRESSES),
      destinationPort: this.one(PORTS),
    });
  }
}

test('the index decides as a plain reading of all rules does, on 400 random sets of policies', (t) => {
  const destination = aWorkload('ns/app');
  let refused = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const generate = new Generator(seed);
    const policies = Array.from({ length: 1 + (seed % 12) }, (_, i) => generate.policy(i));
    const snapshot = aSnapshot({ workloads: [destination], policies });
    for (let i = 0; i < 20; i++) {
      const connection = generate.connection(destination);
      const verdict = judgeInbound(connection, snapshot);
      const plain = plainVerdict(policies, connection);
      if (!plain.allowed) refused++;
      if (verdict.allowed === plain.allowed && (plain.policy === null || verdict.policy === plain.policy)) continue;
      t.fail(`seed ${seed}: ${JSON.stringify({ verdict, plain, connection, policies })}`);
      return;
    }
  }
  // Both verdicts came up often, or the comparison would say little.
  t.true(refused > 800 && refused < 7_200, `${refused} of 8,000 were refused`);
});

test('an explanation agrees with the verdict, on 200 random sets of policies', (t) => {
  const destination = aWorkload('ns/app');
  for (let seed = 1; seed <= 200; seed++) {
    const generate = new Generator(seed);
    const policies = Array.from({ length: 1 + (seed % 8) }, (_, i) => generate.policy(i));
    const snapshot = aSnapshot({ workloads: [destination], policies });
    const { verdict, considered } = explain(generate.connection(destination), 'Inbound', snapshot);
    const matching = considered.filter(({ outcome }) => outcome === 'matches');
    const enforced = matching.filter(({ enforcement }) => enforcement === 'Enforce');
    const denied = enforced.find(({ action }) => action === 'Deny')?.name;
    t.is(considered.length, policies.length);
    t.is(verdict.reason === 'policy_denied', denied !== undefined);
    if (denied !== undefined) t.is(verdict.policy, denied);
    t.is(considered.filter(({ decides }) => decides).length, verdict.policy === null ? 0 : 1);
  }
});

test('a decision among 10,000 policies costs what one among 10 does', (t) => {
  const cost = (count: number, matches: (i: number) => Partial<Match>[]) => {
    const destination = aWorkload('ns/app', { addresses: ['10.0.0.1'] });
    const policies = Array.from({ length: count }, (_, i) => inbound(`ns/p${i}`, i % 2 ? 'Deny' : 'Allow', matches(i)));
    const snapshot = aSnapshot({ workloads: [destination], policies });
    const callers = Array.from({ length: 64 }, (_, i) => aWorkload(`team/caller${i}`, { addresses: [`10.1.0.${i}`] }));
    const connections = callers.map((source) => facts({ source, destination }));
    const judge = (times: number) => {
      for (let i = 0; i < times; i++) judgeInbound(connections[i & 63] as ConnectionFacts, snapshot);
    };
    judge(20_000);
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const started = performance.now();
      judge(20_000);
      best = Math.min(best, (performance.now() - started) / 20);
    }
    return best;
  };
  const shapes: Record<string, (i: number) => Partial<Match>[]> = {
    'by service account': (i) => [{ serviceAccounts: [{ namespace: 'team', serviceAccount: `caller${i}` }] }],
    'by block': (i) => [{ sourceIps: blocks(`10.${i % 250}.${(i / 250) | 0}.0/24`) }],
    'one caller, by port': (i) => [
      {
        serviceAccounts: [{ namespace: 'team', serviceAccount: 'caller1' }],
        destinationPorts: [{ first: i + 1, last: i + 1 }],
      },
    ],
  };
  for (const [shape, matches] of Object.entries(shapes)) {
    const few = cost(10, matches);
    const many = cost(10_000, matches);
    t.log(`${shape}: ${few.toFixed(2)} µs with 10 policies, ${many.toFixed(2)} µs with 10,000`);
    // Loose: the machine is shared. A linear scan would be about a hundred times off.
    t.true(many < 25, `${many} µs`);
  }
});
