import test from 'ava';
import { refOf } from '../../../../controller/api/kinds.ts';
import { indexOf, workload } from '../support/index.ts';
import { namespace, pod, policy, service } from '../support/objects.ts';

const SHOP = namespace('shop');
const names = (index: ReturnType<typeof indexOf>, name: string) =>
  workload(index, name).policies.map((ref) => ref.name);

test('a workload names every policy that applies, with its version', (t) => {
  const index = indexOf(
    SHOP,
    pod('db'),
    policy('mesh', {}, 'aquifer-system'),
    policy('all'),
    policy('db-only', { selector: { matchLabels: { app: 'db' } } }),
    policy('web-only', { selector: { matchLabels: { app: 'web' } } }),
    policy('everywhere', { selector: { matchLabels: { app: 'db' } } }, 'aquifer-system'),
    policy('elsewhere', {}, 'other'),
    policy('out', { direction: 'Outbound', rules: [{ to: [{ ports: [443] }] }] }),
  );
  t.deepEqual(names(index, 'db'), [
    'aquifer-system/everywhere',
    'aquifer-system/mesh',
    'shop/all',
    'shop/db-only',
    'shop/out',
  ]);
  t.deepEqual(workload(index, 'db').selectorPolicies, ['aquifer-system/everywhere', 'shop/db-only']);
  const { inbound, outbound } = index.snapshotFor('node-1');
  for (const { name, direction, version } of workload(index, 'db').policies) {
    t.is((direction === 'Inbound' ? inbound : outbound).get(name)?.version, version);
  }
  t.like(inbound.get('aquifer-system/mesh')?.value, { scope: 'Mesh' });
  t.like(inbound.get('shop/all')?.value, { scope: 'Namespace' });
  t.like(inbound.get('shop/db-only')?.value, { scope: 'Workload' });
});

test('a workload that is not enrolled names none', (t) => {
  t.deepEqual(names(indexOf(pod('db'), policy('all')), 'db'), []);
});

test('a change of a policy changes the version that its workloads name, and nobody else’s', (t) => {
  const selector = { matchLabels: { app: 'db' } };
  const index = indexOf(SHOP, pod('db'), pod('web', { address: '10.244.1.6' }), policy('p', { selector }));
  const before = workload(index, 'db').policies[0]?.version;
  index.apply(policy('p', { selector, action: 'Deny' }));
  const delta = index.commit();
  t.deepEqual([...delta.workloads.set.keys()], ['Kubernetes//Pod/shop/db']);
  t.not(workload(index, 'db').policies[0]?.version, before);
  index.apply(policy('p', { selector, action: 'Deny' }));
  const again = index.commit();
  t.is(again.workloads.set.size + again.inbound.set.size, 0);
});

test('a label that a policy selects reaches the workload', (t) => {
  const index = indexOf(SHOP, pod('db'), policy('p', { selector: { matchLabels: { tier: 'x' } } }));
  t.deepEqual(names(index, 'db'), []);
  index.apply(pod('db', { labels: { app: 'db', tier: 'x' } }));
  index.commit();
  t.deepEqual(names(index, 'db'), ['shop/p']);
});

test('a policy that turns its direction is taken back from the old type', (t) => {
  const index = indexOf(SHOP, pod('db'), policy('p'));
  index.apply(policy('p', { direction: 'Outbound', rules: [] }));
  const delta = index.commit();
  t.deepEqual(delta.inbound.removed, ['shop/p']);
  t.deepEqual([...delta.outbound.set.keys()], ['shop/p']);
  t.like(workload(index, 'db').policies[0], { direction: 'Outbound' });
  index.remove(refOf(policy('p')));
  t.deepEqual(index.commit().outbound.removed, ['shop/p']);
  t.deepEqual(names(index, 'db'), []);
});

const targeting = (...services: string[]) =>
  policy('p', { targetRefs: services.map((name) => ({ group: '', kind: 'Service', name })) });

test('a policy of a Service applies to its pods on its target ports only', (t) => {
  const index = indexOf(
    SHOP,
    pod('db'),
    pod('web', { address: '10.244.1.6' }),
    service('db', { ports: [{ port: 80, targetPort: 5432 }] }),
    targeting('db'),
  );
  t.deepEqual(names(index, 'db'), ['shop/p']);
  t.deepEqual(names(index, 'web'), []);
  t.like(index.snapshotFor('n').inbound.get('shop/p')?.value, { scope: 'Workload', appliesToPorts: [5432] });
  index.apply(service('db', { ports: [{ port: 80, targetPort: 5433 }] }));
  index.commit();
  t.like(index.snapshotFor('n').inbound.get('shop/p')?.value, { appliesToPorts: [5433] });
});

test('pods that resolve the target port differently get a resource each: a union would admit more', (t) => {
  const withPort = (name: string, address: string, containerPort: number) => {
    const containers = [{ name: 'c', ports: [{ name: 'web', containerPort }] }];
    return pod(name, { labels: { app: 'db' }, address, spec: { containers } });
  };
  const index = indexOf(
    SHOP,
    withPort('a', '10.244.1.6', 8080),
    service('db', { ports: [{ port: 80, targetPort: 'web' }] }),
    targeting('db'),
  );
  t.deepEqual(names(index, 'a'), ['shop/p']);
  index.apply(withPort('b', '10.244.1.7', 8081));
  index.commit();
  t.deepEqual(names(index, 'a'), ['shop/p~8080']);
  t.deepEqual(names(index, 'b'), ['shop/p~8081']);
  const { inbound } = index.snapshotFor('n');
  t.deepEqual([...inbound.keys()].sort(), ['shop/p~8080', 'shop/p~8081']);
  t.deepEqual(inbound.get('shop/p~8081')?.value.appliesToPorts, [8081]);
  index.remove(refOf(withPort('b', '10.244.1.7', 8081)));
  index.commit();
  t.deepEqual([...index.snapshotFor('n').inbound.keys()], ['shop/p']);
});

test('a policy follows its targets when they are changed', (t) => {
  const other = pod('web', { address: '10.244.1.6' });
  const index = indexOf(SHOP, pod('db'), other, service('db'), service('web'), targeting('db'));
  index.apply(targeting('web'));
  index.commit();
  t.deepEqual(names(index, 'db'), []);
  t.deepEqual(names(index, 'web'), ['shop/p']);
  index.apply(targeting('web', 'db'));
  index.commit();
  t.deepEqual(names(index, 'db'), ['shop/p']);
});

test('what nothing answers to is told, and what is probably not meant', (t) => {
  const told = (...objects: Parameters<typeof indexOf>) => {
    const findings = indexOf(...objects).findings('shop', 'p');
    return [...(findings?.unresolved ?? []), ...(findings?.remarks ?? [])].map(
      ({ field, reason }) => `${field}: ${reason}`,
    );
  };
  t.deepEqual(told(policy('p', { selector: { matchLabels: { a: 'b' } } })), ['spec.selector: selects no pod']);
  t.deepEqual(told(targeting('db')), ['spec.targetRefs[0]: Service shop/db does not exist']);
  t.deepEqual(told(service('db'), targeting('db')), ['spec.targetRefs: no pod belongs to the Services it targets']);
  t.deepEqual(told(SHOP, policy('p', { action: 'Deny', rules: [] })), [
    'spec.rules: a Deny without rules refuses nothing',
  ]);
  t.deepEqual(told(pod('db'), policy('p')), ['spec: none of the 1 pods that it selects is enrolled']);
  const rules = [{ to: [{ services: ['db', 'shop/*'], hosts: ['web.shop.svc.cluster.local'] }] }];
  t.deepEqual(told(policy('p', { direction: 'Outbound', rules })), [
    'spec.rules[0].to[0].services[0]: Service shop/db does not exist',
    'spec.rules[0].to[0].hosts[0]: no Service has the name web.shop.svc.cluster.local',
  ]);
  t.deepEqual(told(SHOP, pod('db'), policy('p')), []);
});

test('a Service that becomes an ExternalName makes what names it unenforceable', (t) => {
  const rules = [{ to: [{ services: ['shop/db'] }] }];
  const index = indexOf(SHOP, pod('db'), service('db'), policy('p', { direction: 'Outbound', action: 'Deny', rules }));
  t.deepEqual(index.findings('shop', 'p')?.unenforceable, []);
  index.apply(service('db', { type: 'ExternalName', externalName: 'x.example' }));
  index.commit();
  t.is(index.findings('shop', 'p')?.unenforceable.length, 1);
  // Its safe effect: it refuses everything rather than nothing.
  t.deepEqual(index.snapshotFor('n').outbound.get('shop/p')?.value.rules, [{ from: [], to: [] }]);
});
