import { judgeInbound } from '../../agent/decide/judge.ts';
import { StringSet } from '../../agent/decide/policy/string-set.ts';
import { parseSpiffe } from '../../agent/model/identity.ts';
import type { InboundPolicy, Match, Policy, StringMatch } from '../../agent/model/policy.ts';
import { aMatch, aSnapshot, aWorkload, blocks, facts, inbound } from '../support/mesh.ts';
import { vectorTest } from '../support/vectors.ts';

type WireString = { Exact: string } | { Prefix: string } | { Suffix: string } | 'Presence' | { Presence: unknown };
type WireMatch = Record<string, unknown[]>;
type WireRules = WireMatch[][][];

function toStringMatch(wire: WireString): StringMatch {
  if (wire === 'Presence' || 'Presence' in wire) return { kind: 'presence' };
  if ('Exact' in wire) return { kind: 'exact', value: wire.Exact };
  if ('Prefix' in wire) return { kind: 'prefix', value: wire.Prefix };
  return { kind: 'suffix', value: wire.Suffix };
}

function toMatch(wire: WireMatch): Match {
  const fields = Object.entries(wire).map(([field, values]) => {
    if (/Ips$/.test(field)) return [field, blocks(...(values as string[]))];
    if (/Ports$/.test(field)) return [field, (values as number[]).map((port) => ({ first: port, last: port }))];
    if (/serviceAccounts$/i.test(field)) return [field, values];
    return [field, (values as WireString[]).map(toStringMatch)];
  });
  return aMatch(Object.fromEntries(fields) as Partial<Match>);
}

const toRules = (wire: WireRules): InboundPolicy['rules'] =>
  wire.map((rule) => rule.map((clause) => clause.map(toMatch)));
const split = (socket: string) => {
  const [address = '', port = '0'] = socket.split(':');
  return { address, port: Number(port) };
};

interface MatchCase {
  name: string;
  rules: WireRules;
  conn: { srcIdentity: string | null; src: string; dst: string };
  matches: boolean;
}

vectorTest<{ cases: MatchCase[] }>('WDS policies match as in ztunnel', 'authz/rbac_match.json', (t, { cases }) => {
  const destination = aWorkload('ns/app');
  for (const { name, rules, conn, matches } of cases) {
    const factsOf = () => {
      const to = split(conn.dst);
      return facts({
        destination,
        sourceIdentity: conn.srcIdentity === null ? null : parseSpiffe(conn.srcIdentity),
        sourceAddress: split(conn.src).address,
        destinationAddress: to.address,
        destinationPort: to.port,
      });
    };
    for (const action of ['Allow', 'Deny'] as const) {
      const policy = inbound('ns/p', action, [], { rules: toRules(rules) });
      const verdict = judgeInbound(factsOf(), aSnapshot({ workloads: [destination], policies: [policy] }));
      t.is(verdict.allowed, action === 'Allow' ? matches : !matches, `${name}, ${action}`);
    }
  }
});

interface StringCase {
  type: 'Exact' | 'Prefix' | 'Suffix' | 'Presence';
  value: string;
  input: string;
  expect: boolean;
}

vectorTest<{ cases: StringCase[] }>('strings match as in ztunnel', 'authz/string_match.json', (t, { cases }) => {
  for (const { type, value, input, expect } of cases) {
    const match = toStringMatch(type === 'Presence' ? type : ({ [type]: value } as WireString));
    t.is(new StringSet([match]).has(input), expect, `${type} ${value} on "${input}"`);
  }
});

interface OrderCase {
  name: string;
  policies: {
    name: string;
    namespace: string;
    scope: Policy['scope'];
    action: Policy['action'];
    dryRun: boolean;
    rules: WireRules;
  }[];
  dstWorkload: { namespace: string; ip: string };
  conn: { srcIdentity: string; src: string; dstPort: number };
  expect: { allow: boolean; reason?: 'NotAllowed' | 'ExplicitlyDenied'; policy?: string };
  logs: { policy: string; message: string }[];
}

vectorTest<{ cases: OrderCase[] }>('Deny goes before Allow as in ztunnel', 'authz/rbac_eval_order.json', (t, file) => {
  for (const { name, policies, dstWorkload, conn, expect, logs } of file.cases) {
    const destination = aWorkload(`${dstWorkload.namespace}/app`, { addresses: [dstWorkload.ip] });
    // Two policies of one case can share a name, being of different actions.
    const all = policies.map((policy, i) =>
      inbound(`${policy.namespace}/${policy.name}${sharesName(policies, policy.name) ? i : ''}`, policy.action, [], {
        scope: policy.scope,
        enforcement: policy.dryRun ? 'Audit' : 'Enforce',
        rules: toRules(policy.rules),
      }),
    );
    const verdict = judgeInbound(
      facts({
        destination,
        sourceIdentity: parseSpiffe(conn.srcIdentity),
        sourceAddress: split(conn.src).address,
        destinationPort: conn.dstPort,
      }),
      aSnapshot({ workloads: [destination], policies: all }),
    );
    t.is(verdict.allowed, expect.allow, name);
    if (expect.reason === 'ExplicitlyDenied') t.like(verdict, { reason: 'policy_denied', policy: expect.policy }, name);
    if (expect.reason === 'NotAllowed') t.is(verdict.reason, 'policy_not_allowed', name);
    const denials = logs.filter(({ message }) => message.includes('deny policy match'));
    for (const { policy } of denials) t.true(verdict.audited.includes(policy), `${name}: ${policy}`);
  }
});

function sharesName(policies: readonly { name: string }[], name: string): boolean {
  return policies.filter((policy) => policy.name === name).length > 1;
}
