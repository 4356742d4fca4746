import test from 'ava';
import { compilePolicy } from '../../../../controller/core/compile-policy.ts';
import type { L4PolicySpec } from '../../../../controller/core/l4-policy.ts';

const CONTEXT = {
  namespace: 'shop',
  name: 'p',
  rootNamespace: 'aquifer-system',
  clusterDomain: 'cluster.local',
  isExternalName: (service: string) => service === 'shop/outside',
};

type To = NonNullable<L4PolicySpec['rules'][number]['to']>;

function outbound(action: 'Allow' | 'Deny', ...to: To[]) {
  const rules = to.map((entries) => ({ to: entries }));
  const compiled = compilePolicy({ direction: 'Outbound', action, enforcement: 'Enforce', rules }, CONTEXT);
  // Only the fields that are set: the rest is noise here.
  const set = compiled.policy.rules.map(({ to: made }) =>
    made.map((entry) => Object.fromEntries(Object.entries(entry).filter(([, values]) => values.length > 0))),
  );
  return { rules: set, unenforceable: compiled.unenforceable.map(({ field }) => field) };
}

const PORT_443 = { ports: [{ first: 443, last: 443 }] };
const DB = 'db.shop.svc.cluster.local';

test('an Inbound rule is its from and its to', (t) => {
  const { policy, unenforceable } = compilePolicy(
    {
      direction: 'Inbound',
      action: 'Allow',
      enforcement: 'Audit',
      rules: [
        {
          from: [
            {
              serviceAccounts: ['web', 'x/y'],
              principals: ['spiffe://td/ns/a/sa/b', 'td/*'],
              ipBlocks: ['10.0.0.0/8'],
            },
          ],
          to: [{ ports: [5432, '8000-8100', '8050-8200', 8201], notPorts: [8001] }],
        },
        {},
      ],
    },
    CONTEXT,
  );
  t.deepEqual(unenforceable, []);
  t.like(policy, { scope: 'Namespace', action: 'Allow', enforcement: 'Audit', direction: 'Inbound' });
  t.like(policy.rules[0]?.from[0], {
    serviceAccounts: [
      { namespace: 'shop', serviceAccount: 'web' },
      { namespace: 'x', serviceAccount: 'y' },
    ],
    principals: [
      { kind: 'exact', value: 'td/ns/a/sa/b' },
      { kind: 'prefix', value: 'td/' },
    ],
    ipBlocks: [{ bytes: [10, 0, 0, 0], length: 8 }],
  });
  t.deepEqual(policy.rules[0]?.to, [
    {
      ports: [
        { first: 5432, last: 5432 },
        { first: 8000, last: 8201 },
      ],
      notPorts: [{ first: 8001, last: 8001 }],
    },
  ]);
  t.deepEqual(policy.rules[1], { from: [], to: [] });
});

test('the scope is the mesh only in the root namespace and without a selection', (t) => {
  const scope = (namespace: string, more: Partial<L4PolicySpec>) =>
    compilePolicy(
      { direction: 'Inbound', action: 'Allow', enforcement: 'Enforce', rules: [], ...more },
      { ...CONTEXT, namespace },
    ).policy.scope;
  t.is(scope('shop', {}), 'Namespace');
  t.is(scope('aquifer-system', {}), 'Mesh');
  t.is(scope('aquifer-system', { selector: { matchLabels: { a: 'b' } } }), 'Workload');
  t.is(scope('shop', { targetRefs: [{ group: '', kind: 'Service', name: 'db' }] }), 'Workload');
});

test('an Allow for a host outside the mesh admits nobody, and still is a policy', (t) => {
  t.deepEqual(outbound('Allow', [{ hosts: ['api.example.com'], ports: [443] }]), {
    rules: [],
    unenforceable: ['spec.rules[0].to[0].hosts[0]'],
  });
});

test('an Allow keeps the hosts that can be judged', (t) => {
  t.deepEqual(outbound('Allow', [{ hosts: ['api.example.com', DB], ports: [443] }]), {
    rules: [[{ hosts: [{ kind: 'exact', value: DB }], ...PORT_443 }]],
    unenforceable: ['spec.rules[0].to[0].hosts[0]'],
  });
});

test('a Deny for a host outside the mesh refuses all that the rest selects', (t) => {
  t.deepEqual(outbound('Deny', [{ hosts: ['api.example.com', DB], ports: [443] }]).rules, [[PORT_443]]);
  t.deepEqual(outbound('Deny', [{ hosts: ['*.example.com'] }]).rules, [[]]);
  t.deepEqual(outbound('Deny', [{ ports: [443] }, { hosts: ['*'] }]).rules, [[]]);
});

test('an exception that cannot be judged is none in a Deny, and admits nobody in an Allow', (t) => {
  const entry = { notHosts: ['api.example.com', DB], ports: [443] };
  t.deepEqual(outbound('Deny', [entry]).rules, [[{ notHosts: [{ kind: 'exact', value: DB }], ...PORT_443 }]]);
  t.deepEqual(outbound('Deny', [{ notHosts: ['api.example.com'] }]).rules, [[]]);
  t.deepEqual(outbound('Allow', [entry]).rules, []);
  t.deepEqual(outbound('Allow', [entry, { ports: [443] }]).rules, [[PORT_443]]);
});

test('a Service without an address cannot be judged, by name or by host', (t) => {
  t.deepEqual(outbound('Deny', [{ services: ['outside'], ports: [443] }]), {
    rules: [[PORT_443]],
    unenforceable: ['spec.rules[0].to[0].services[0]'],
  });
  t.deepEqual(outbound('Allow', [{ hosts: ['outside.shop.svc.cluster.local'] }]).rules, []);
});

test('names of the mesh are judged, whether the Service is there or not', (t) => {
  const { rules, unenforceable } = outbound('Deny', [
    { hosts: [DB, '*.shop.svc.cluster.local'], services: ['db', 'x/*'] },
  ]);
  t.deepEqual(unenforceable, []);
  t.deepEqual(rules, [
    [
      {
        services: ['shop/db', 'x/*'],
        hosts: [
          { kind: 'exact', value: DB },
          { kind: 'suffix', value: '.shop.svc.cluster.local' },
        ],
      },
    ],
  ]);
});
