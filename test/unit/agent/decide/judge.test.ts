import test from 'ava';
import { judgeAtSource, judgeInbound, judgeOutbound } from '../../../../agent/decide/judge.ts';
import { EMPTY_SNAPSHOT } from '../../../../agent/model/snapshot.ts';
import {
  aService,
  aSnapshot,
  aWorkload,
  blocks,
  endpointOf,
  exact,
  facts,
  inbound,
  outbound,
} from '../../../support/mesh.ts';

const web = aWorkload('shop/web', { addresses: ['10.0.0.1'] });
const db = aWorkload('shop/db', { addresses: ['10.0.0.2'], services: endpointOf(['shop/db', { 5432: 5432 }]) });
const dbService = aService('shop/db', { 5432: 5432 }, { addresses: ['10.96.0.5'] });
const call = facts({ source: web, destination: db, destinationPort: 5432 });
const fromWeb = { serviceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }] };
const anyPort = { destinationPorts: [{ first: 1, last: 65_535 }] };

test('a connection that no policy concerns is allowed by the mesh default', (t) => {
  t.deepEqual(judgeInbound(call, aSnapshot({ workloads: [db] })), {
    allowed: true,
    reason: 'ok',
    policy: null,
    audited: [],
  });
});

test('a Deny that matches goes before an Allow that matches', (t) => {
  const policies = [inbound('shop/a-allow', 'Allow', [fromWeb]), inbound('shop/b-deny', 'Deny', [fromWeb])];
  t.like(judgeInbound(call, aSnapshot({ workloads: [db], policies })), {
    allowed: false,
    reason: 'policy_denied',
    policy: 'shop/b-deny',
  });
});

test('an Allow without rules admits nobody', (t) => {
  const snapshot = aSnapshot({ workloads: [db], policies: [inbound('shop/closed', 'Allow', [])] });
  t.like(judgeInbound(call, snapshot), { allowed: false, reason: 'policy_not_allowed', policy: 'shop/closed' });
});

test('of several policies that match, the first by name decides', (t) => {
  const policies = [inbound('shop/z', 'Deny', [anyPort]), inbound('shop/m', 'Deny', [fromWeb])];
  t.is(judgeInbound(call, aSnapshot({ workloads: [db], policies })).policy, 'shop/m');
});

test('an Allow that concerns other ports does not close this one', (t) => {
  const closed = inbound('shop/metrics', 'Allow', [], { appliesToPorts: [9090] });
  const snapshot = aSnapshot({ workloads: [db], policies: [closed] });
  t.true(judgeInbound(call, snapshot).allowed);
  t.false(judgeInbound({ ...call, destinationPort: 9090 }, snapshot).allowed);
});

test('a Deny that concerns other ports does not refuse on this one', (t) => {
  const deny = inbound('shop/metrics', 'Deny', [anyPort], { appliesToPorts: [9090] });
  t.true(judgeInbound(call, aSnapshot({ workloads: [db], policies: [deny] })).allowed);
});

test('an Audit Deny is reported and refuses nothing', (t) => {
  const deny = inbound('shop/trial', 'Deny', [fromWeb], { enforcement: 'Audit' });
  t.deepEqual(judgeInbound(call, aSnapshot({ workloads: [db], policies: [deny] })), {
    allowed: true,
    reason: 'ok',
    policy: null,
    audited: ['shop/trial'],
  });
});

test('an Audit Allow is reported when neither it nor another Allow admits the caller', (t) => {
  const other = { serviceAccounts: [{ namespace: 'shop', serviceAccount: 'other' }] };
  const trial = (name: string, match: object) => inbound(name, 'Allow', [match], { enforcement: 'Audit' });
  const audited = (...policies: Parameters<typeof aSnapshot>[0]['policies'] & object) =>
    judgeInbound(call, aSnapshot({ workloads: [db], policies })).audited;
  t.deepEqual(audited(trial('shop/t', other)), ['shop/t']);
  t.deepEqual(audited(trial('shop/t', fromWeb)), []);
  t.deepEqual(audited(trial('shop/t', other), trial('shop/u', fromWeb)), []);
  t.deepEqual(audited(trial('shop/t', other), inbound('shop/a', 'Allow', [fromWeb])), []);
});

test('an address is no identity: an unknown caller never satisfies a positive field of identity', (t) => {
  const unknown = facts({ sourceAddress: '10.0.0.1', destination: db, destinationPort: 5432 });
  for (const match of [fromWeb, { namespaces: exact('shop') }, { principals: [{ kind: 'presence' as const }] }]) {
    const snapshot = aSnapshot({ workloads: [web, db], policies: [inbound('shop/p', 'Allow', [match])] });
    t.false(judgeInbound(unknown, snapshot).allowed);
  }
});

test('STRICT as istiod writes it, a Deny of notPrincipals "*", refuses a caller without identity alone', (t) => {
  const strict = inbound('shop/strict', 'Deny', [{ notPrincipals: [{ kind: 'presence' }] }]);
  const snapshot = aSnapshot({ workloads: [db], policies: [strict] });
  t.true(judgeInbound(call, snapshot).allowed);
  t.false(judgeInbound({ ...call, sourceIdentity: null }, snapshot).allowed);
});

test('a workload under an empty snapshot, or one not known, is awaited', (t) => {
  t.is(judgeInbound(call, EMPTY_SNAPSHOT).reason, 'awaiting_workload');
  t.is(judgeInbound({ ...call, destination: null }, aSnapshot({})).reason, 'awaiting_workload');
});

test('a policy that is named and missing, or there in another version, holds the workload', (t) => {
  const policy = inbound('shop/p', 'Allow', [fromWeb], { version: 'v2' });
  const needing = (version: string) =>
    aWorkload('shop/db', { policies: [{ name: 'shop/p', direction: 'Inbound', version }] });
  const judge = (destination: typeof db, policies: (typeof policy)[]) =>
    judgeInbound({ ...call, destination }, aSnapshot({ workloads: [destination], policies }));
  t.is(judge(needing('v2'), []).reason, 'awaiting_policy');
  t.is(judge(needing('v1'), [policy]).reason, 'awaiting_policy');
  t.is(judge(needing('v2'), [policy]).reason, 'ok');
  // Without the store's own list the missing policy is noticed all the same.
  const bare = { ...aSnapshot({ workloads: [db] }), awaiting: new Set<string>() };
  t.is(judgeInbound({ ...call, destination: needing('v2') }, bare).reason, 'awaiting_policy');
});

test('a policy that exists and is not named does not concern a workload that names its policies', (t) => {
  const destination = aWorkload('shop/db', { policies: [] });
  const snapshot = aSnapshot({ workloads: [destination], policies: [inbound('shop/p', 'Deny', [anyPort])] });
  t.true(judgeInbound({ ...call, destination }, snapshot).allowed);
});

test('without references, mesh and namespace policies are implied and selector policies are named', (t) => {
  const policies = [
    inbound('root/mesh', 'Deny', [{ destinationPorts: [{ first: 1, last: 1 }] }], { scope: 'Mesh' }),
    inbound('shop/ns', 'Deny', [{ destinationPorts: [{ first: 2, last: 2 }] }]),
    inbound('other/ns', 'Deny', [{ destinationPorts: [{ first: 3, last: 3 }] }]),
    inbound('shop/named', 'Deny', [{ destinationPorts: [{ first: 4, last: 4 }] }], { scope: 'Workload' }),
    inbound('shop/unnamed', 'Deny', [{ destinationPorts: [{ first: 5, last: 5 }] }], { scope: 'Workload' }),
  ];
  const destination = aWorkload('shop/db', { selectorPolicies: ['shop/named'] });
  const snapshot = aSnapshot({ workloads: [destination], policies });
  const denied = [1, 2, 3, 4, 5].map(
    (destinationPort) => !judgeInbound({ ...call, destination, destinationPort }, snapshot).allowed,
  );
  t.deepEqual(denied, [true, true, false, true, false]);
});

test('an Outbound policy holds for the Service, for its endpoint, and for another Service before the same pods', (t) => {
  const alias = aService('shop/alias', { 80: 5432 }, { addresses: ['10.96.0.6'] });
  const pod = aWorkload('shop/db', {
    addresses: ['10.0.0.2'],
    services: endpointOf(['shop/db', { 5432: 5432 }], ['shop/alias', { 80: 5432 }]),
  });
  const deny = outbound('shop/no-db', 'Deny', [
    { services: [{ namespace: { kind: 'exact', value: 'shop' }, name: { kind: 'exact', value: 'db' } }] },
  ]);
  const snapshot = aSnapshot({ workloads: [web, pod], services: [dbService, alias], policies: [deny] });
  const asked = { ...call, destination: pod };
  t.false(judgeOutbound({ ...asked, service: dbService, servicePort: 5432 }, snapshot).allowed);
  t.false(judgeOutbound(asked, snapshot).allowed);
  t.false(judgeOutbound({ ...asked, service: alias, servicePort: 80 }, snapshot).allowed);
  t.true(judgeOutbound({ ...asked, destinationPort: 9090 }, snapshot).allowed);
});

test('an Outbound policy by block holds for the Service address and for the endpoint address', (t) => {
  const judge = (block: string) => {
    const deny = outbound('shop/p', 'Deny', [{ ipBlocks: blocks(block) }]);
    const snapshot = aSnapshot({ workloads: [web, db], services: [dbService], policies: [deny] });
    return judgeOutbound({ ...call, service: dbService, servicePort: 5432 }, snapshot).allowed;
  };
  t.false(judge('10.96.0.5/32'));
  t.false(judge('10.0.0.0/24'));
  t.true(judge('10.1.0.0/24'));
});

test('a Service with endpoints in another namespace is no way past an Outbound policy by namespace', (t) => {
  const foreign = aWorkload('other/secret', { addresses: ['10.0.0.9'] });
  const service = aService('shop/door', { 80: 80 });
  const asked = facts({ source: web, destination: foreign, destinationPort: 80, service, servicePort: 80 });
  const judge = (action: 'Allow' | 'Deny', namespace: string) =>
    judgeOutbound(
      asked,
      aSnapshot({
        workloads: [web, foreign],
        services: [service],
        policies: [outbound('shop/p', action, [{ namespaces: exact(namespace) }])],
      }),
    ).allowed;
  t.false(judge('Allow', 'shop'));
  t.true(judge('Allow', 'other'));
  t.false(judge('Deny', 'shop'));
  t.false(judge('Deny', 'other'));
});

test('an Outbound Allow closes the outside, and opens what it names', (t) => {
  const policies = [
    outbound('shop/p', 'Allow', [{ ipBlocks: blocks('198.51.100.0/24'), ports: [{ first: 443, last: 443 }] }]),
  ];
  const snapshot = aSnapshot({ workloads: [web], policies });
  const to = (destinationAddress: string, destinationPort: number) =>
    judgeOutbound(facts({ source: web, destinationAddress, destinationPort }), snapshot);
  t.is(to('198.51.100.7', 443).policy, 'shop/p');
  t.is(to('198.51.100.7', 80).reason, 'policy_not_allowed');
  t.false(to('203.0.113.1', 443).allowed);
});

test('on the same node both sides are judged at the source, across nodes the outbound side alone', (t) => {
  const policies = [
    inbound('shop/in', 'Deny', [fromWeb]),
    outbound('shop/out-trial', 'Deny', [{ namespaces: exact('shop') }], { enforcement: 'Audit' }),
  ];
  const snapshot = aSnapshot({ workloads: [web, db], policies });
  t.like(judgeAtSource(call, 'SameNode', snapshot), { allowed: false, policy: 'shop/in', audited: ['shop/out-trial'] });
  t.like(judgeAtSource(call, 'CrossNode', snapshot), { allowed: true, audited: ['shop/out-trial'] });
});
