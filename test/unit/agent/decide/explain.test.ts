import test from 'ava';
import { explain } from '../../../../agent/decide/explain.ts';
import { aSnapshot, aWorkload, exact, facts, inbound, outbound } from '../../../support/mesh.ts';

const web = aWorkload('shop/web', { addresses: ['10.0.0.1'] });
const db = aWorkload('shop/db', { addresses: ['10.0.0.2'] });

test('an explanation names each policy, what it said and why', (t) => {
  const policies = [
    inbound('shop/a', 'Deny', [{ namespaces: exact('other') }, { principals: exact('td/ns/x/sa/y'), sourceIps: [] }]),
    inbound('shop/b', 'Allow', [{ destinationPorts: [{ first: 8080, last: 8080 }] }]),
    inbound('shop/c', 'Allow', [], { appliesToPorts: [9090] }),
    inbound('shop/d', 'Deny', [{ namespaces: exact('shop') }], { enforcement: 'Audit' }),
  ];
  const { verdict, considered } = explain(
    facts({ source: web, destination: db }),
    'Inbound',
    aSnapshot({ workloads: [web, db], policies }),
  );
  t.deepEqual(verdict, { allowed: true, reason: 'ok', policy: 'shop/b', audited: ['shop/d'] });
  t.deepEqual(
    considered.map(({ name, outcome, matchingRule, mismatches, decides }) => [
      name,
      outcome,
      matchingRule,
      mismatches,
      decides,
    ]),
    [
      ['shop/a', 'does not match', null, [['namespaces', 'principals']], false],
      ['shop/b', 'matches', 0, [], true],
      ['shop/c', 'does not concern the port', null, [], false],
      ['shop/d', 'matches', 0, [], false],
    ],
  );
});

test('an explanation of the outbound side says where a destination differs', (t) => {
  const policies = [
    outbound('shop/out', 'Allow', [{ namespaces: exact('other') }, { ports: [{ first: 1, last: 2 }] }]),
  ];
  const { verdict, considered } = explain(
    facts({ source: web, destination: db }),
    'Outbound',
    aSnapshot({ workloads: [web, db], policies }),
  );
  t.is(verdict.reason, 'policy_not_allowed');
  t.deepEqual(considered[0]?.mismatches, [['namespaces', 'ports']]);
});

test('an explanation of a workload that waits considers nothing', (t) => {
  const waiting = aWorkload('shop/db', { policies: [{ name: 'shop/p', direction: 'Inbound', version: '1' }] });
  const explained = explain(facts({ destination: waiting }), 'Inbound', aSnapshot({ workloads: [waiting] }));
  t.is(explained.verdict.reason, 'awaiting_policy');
  t.deepEqual(explained.considered, []);
});
