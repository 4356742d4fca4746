import test from 'ava';
import { toAddressResource } from '../../../../agent/sync/convert/address.ts';
import { toOutboundPolicy } from '../../../../agent/sync/convert/outbound.ts';
import { toInboundPolicy } from '../../../../agent/sync/convert/policy.ts';
import { Index } from '../../../../controller/index/index.ts';
import { ResourceCache } from '../../../../controller/serve/resource-cache.ts';
import { TYPE_URLS } from '../../../../controller/serve/types.ts';
import { INDEX_OPTIONS } from '../support/index.ts';
import { namespace, pod, policy, service } from '../support/objects.ts';
import { random } from '../support/random.ts';
import { draw } from '../support/world.ts';

/** What one side writes the other must take, word for word: nothing here may be refused as malformed. */
for (const seed of [31, 32]) {
  test(`the agent reads what the controller writes, seed ${seed}`, (t) => {
    const dice = random(seed);
    const index = new Index(INDEX_OPTIONS);
    const cache = new ResourceCache();
    index.apply(namespace('shop'));
    for (let round = 0; round < 60; round++) {
      index.apply(draw(dice));
      cache.update(index.commit());
    }
    for (const object of [pod('fixed'), service('fixed'), policy('fixed')]) index.apply(object);
    cache.update(index.commit());
    const { workloads, services, inbound, outbound } = index.snapshotFor('n1');
    const bytes = (typeUrl: (typeof TYPE_URLS)[keyof typeof TYPE_URLS], name: string) => {
      const resource = cache.get(typeUrl, name);
      if (resource === undefined) throw new Error(`no resource ${name}`);
      return resource.bytes;
    };
    for (const [uid, { value }] of workloads) {
      const read = toAddressResource(bytes(TYPE_URLS.address, uid), uid);
      if (read.kind !== 'workload') return t.fail();
      t.deepEqual(read.value.addresses, value.addresses);
      t.deepEqual(read.value.policies, value.policies);
      t.deepEqual(
        [...read.value.services].map(([key, ports]) => [key, [...ports]]),
        value.services.map(({ service: key, ports }) => [
          key,
          ports.map((port) => [port.servicePort, port.targetPort]),
        ]),
      );
      const { enrolled, healthy, serving, terminating, podUid, hostNetwork, node, locality, workloadName } = value;
      t.like(read.value, {
        enrolled,
        healthy,
        serving,
        terminating,
        podUid,
        hostNetwork,
        node,
        locality,
        workloadName,
      });
    }
    for (const [key, { value }] of services) {
      const read = toAddressResource(bytes(TYPE_URLS.address, key), key);
      if (read.kind !== 'service') return t.fail();
      const { mode, addresses, sessionAffinitySeconds, hostname } = value;
      t.like(read.value, { key, mode, addresses, sessionAffinitySeconds, hostname });
    }
    for (const [name, { value, version }] of inbound) {
      const read = toInboundPolicy(bytes(TYPE_URLS.authorization, name), name, version);
      const { scope, action, enforcement, appliesToPorts } = value;
      t.like(read, { name, version, scope, action, enforcement, appliesToPorts });
      t.is(read.rules.length, value.rules.length);
    }
    for (const [name, { value, version }] of outbound) {
      const read = toOutboundPolicy(bytes(TYPE_URLS.outbound, name), name, version);
      t.like(read, { name, version, scope: value.scope, action: value.action });
      t.is(read.rules.length, value.rules.length);
    }
    t.true(workloads.size > 0 && services.size > 0 && inbound.size > 0);
  });
}

test('every field of a source and a destination arrives', (t) => {
  const from = {
    serviceAccounts: ['web'],
    notServiceAccounts: ['x/y'],
    namespaces: ['shop', 'team-*'],
    notNamespaces: ['*-test'],
    principals: ['spiffe://td/ns/a/sa/b'],
    notPrincipals: ['*/sa/c'],
    ipBlocks: ['10.0.0.0/8'],
    notIpBlocks: ['fd00::/8'],
  };
  const to = {
    services: ['db', 'x/*'],
    notServices: ['shop/old'],
    namespaces: ['shop'],
    notNamespaces: ['x'],
    ipBlocks: ['10.0.0.0/8'],
    notIpBlocks: ['10.1.0.0/16'],
    hosts: ['*.shop.svc.cluster.local'],
    notHosts: ['a.b.svc.cluster.local'],
    ports: [80, '8000-8100'],
    notPorts: [8001, '8050-8060'],
  };
  const index = new Index(INDEX_OPTIONS);
  const cache = new ResourceCache();
  index.apply(pod('db'));
  index.apply(policy('in', { rules: [{ from: [from], to: [{ ports: to.ports, notPorts: to.notPorts }] }] }));
  index.apply(policy('out', { direction: 'Outbound', rules: [{ from: [from], to: [to] }] }));
  cache.update(index.commit());
  const empty = new Uint8Array();
  const inbound = toInboundPolicy(cache.get(TYPE_URLS.authorization, 'shop/in')?.bytes ?? empty, 'shop/in', 'v');
  const outbound = toOutboundPolicy(cache.get(TYPE_URLS.outbound, 'shop/out')?.bytes ?? empty, 'shop/out', 'v');
  const [source, ports] = [inbound.rules[0]?.[0]?.[0], inbound.rules[0]?.[1]?.[0]];
  t.deepEqual(source, outbound.rules[0]?.from[0]);
  const unset = ['destinationIps', 'notDestinationIps', 'destinationPorts', 'notDestinationPorts'];
  t.deepEqual(
    Object.entries(source ?? {}).flatMap(([key, values]) => (values.length === 0 ? [key] : [])),
    unset,
  );
  t.deepEqual(source?.principals, [{ kind: 'exact', value: 'td/ns/a/sa/b' }]);
  t.deepEqual(ports?.destinationPorts, [
    { first: 80, last: 80 },
    { first: 8000, last: 8100 },
  ]);
  const destination = outbound.rules[0]?.to[0];
  t.deepEqual(
    Object.values(destination ?? {}).map((values) => values.length),
    [2, 1, 1, 1, 1, 1, 1, 1, 2, 2],
  );
  t.deepEqual(destination?.services[1], {
    namespace: { kind: 'exact', value: 'x' },
    name: { kind: 'presence' },
  });
});
