import test from 'ava';
import { refOf } from '../../../../controller/api/kinds.ts';
import { derivedService, indexOf, workload } from '../support/index.ts';
import { namespace, object, pod, service, slice } from '../support/objects.ts';

const KEY = 'shop/db.shop.svc.cluster.local';

test('a pod becomes a workload with identity, addresses and telemetry names', (t) => {
  const index = indexOf(
    namespace('shop'),
    object(
      '{apiVersion: v1, kind: Node, metadata: {name: node-1, labels: {topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z}}}',
    ),
    pod('db-7d9f8-x2x4z', {
      labels: { app: 'db', version: 'v2', 'pod-template-hash': '7d9f8' },
      spec: { serviceAccountName: 'db' },
      status: { podIPs: [{ ip: '10.244.1.5' }, { ip: 'FD00:0::5' }] },
    }),
  );
  t.like(workload(index, 'db-7d9f8-x2x4z'), {
    uid: 'Kubernetes//Pod/shop/db-7d9f8-x2x4z',
    addresses: ['10.244.1.5', 'fd00::5'],
    trustDomain: 'cluster.local',
    serviceAccount: 'db',
    node: 'node-1',
    workloadName: 'db',
    workloadType: 'deployment',
    canonicalName: 'db',
    canonicalRevision: 'v2',
    locality: { region: 'r', zone: 'z', subzone: '' },
    enrolled: true,
    healthy: true,
    serving: true,
    terminating: false,
    podUid: 'uid-db-7d9f8-x2x4z',
  });
});

test('owners name the workload as Istio does', (t) => {
  const owned = (kind: string, name: string, labels: Record<string, string> = {}) => {
    const metadata = { ownerReferences: [{ kind, name, controller: true }] };
    const { workloadName, workloadType } = workload(indexOf(pod('p', { labels, metadata })), 'p');
    return [workloadName, workloadType];
  };
  t.deepEqual(owned('ReplicaSet', 'web-abc', { 'pod-template-hash': 'abc' }), ['web', 'deployment']);
  t.deepEqual(owned('ReplicaSet', 'web-abc'), ['web-abc', 'pod']);
  t.deepEqual(owned('Deployment', 'web'), ['web', 'deployment']);
  t.deepEqual(owned('Job', 'sweep'), ['sweep', 'job']);
  t.deepEqual(owned('Job', 'sweep-28012345'), ['sweep', 'cronjob']);
  t.deepEqual(owned('StatefulSet', 'db'), ['db', 'pod']);
});

test('a pod without an address, or one that has ended, is no workload', (t) => {
  const index = indexOf(pod('a', { status: { podIPs: [] } }), pod('b', { status: { phase: 'Succeeded' } }));
  t.is(index.counts.workloads, 0);
  index.apply(pod('a'));
  index.commit();
  t.is(index.counts.workloads, 1);
  index.apply(pod('a', { status: { phase: 'Failed' } }));
  t.deepEqual(index.commit().workloads.removed, ['Kubernetes//Pod/shop/a']);
});

test('a pod in the host network is never enrolled', (t) => {
  const spec = { hostNetwork: true };
  t.like(workload(indexOf(namespace('shop'), pod('a', { spec })), 'a'), { hostNetwork: true, enrolled: false });
});

test('a namespace label enrols the pods that are there', (t) => {
  const index = indexOf(namespace('shop', {}), pod('a'));
  t.false(workload(index, 'a').enrolled);
  index.apply(namespace('shop'));
  t.deepEqual([...index.commit().workloads.set.keys()], ['Kubernetes//Pod/shop/a']);
  t.true(workload(index, 'a').enrolled);
  index.remove(refOf(namespace('shop')));
  index.commit();
  t.false(workload(index, 'a').enrolled);
});

test('named target ports are resolved for each pod, a pod without the name does not serve that port', (t) => {
  const ports = [
    { name: 'http', port: 80, targetPort: 'web' },
    { name: 'admin', port: 81, targetPort: 9000 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ];
  const withPort = (name: string, containerPort: number) =>
    pod(name, {
      labels: { app: 'db' },
      spec: { containers: [{ name: 'c', ports: [{ name: 'web', containerPort }] }] },
    });
  const index = indexOf(
    service('db', { ports }),
    withPort('a', 8080),
    withPort('b', 8081),
    pod('c', { labels: { app: 'db' } }),
  );
  const served = (name: string) => workload(index, name).services;
  const admin = { servicePort: 81, targetPort: 9000 };
  t.deepEqual(served('a'), [{ service: KEY, ports: [{ servicePort: 80, targetPort: 8080 }, admin] }]);
  t.deepEqual(served('b'), [{ service: KEY, ports: [{ servicePort: 80, targetPort: 8081 }, admin] }]);
  t.deepEqual(served('c'), [{ service: KEY, ports: [admin] }]);
  t.deepEqual(
    derivedService(index, 'db').ports.map(({ port, targetPort }) => [port, targetPort]),
    [
      [80, 0],
      [81, 9000],
    ],
  );
});

test('probe and lifecycle ports that go to the pod itself are declared', (t) => {
  const index = indexOf(
    pod('a', {
      spec: {
        containers: [
          {
            name: 'c',
            ports: [{ name: 'h', containerPort: 8080 }],
            livenessProbe: { httpGet: { port: 'h' } },
            readinessProbe: { tcpSocket: { port: 5432 } },
            startupProbe: { grpc: { port: 9000 } },
            lifecycle: { preStop: { httpGet: { port: 8081 } }, postStart: { httpGet: { port: 1, host: 'other' } } },
          },
        ],
      },
    }),
  );
  t.deepEqual(workload(index, 'a').probePorts, [5432, 8080, 8081, 9000]);
});

test('the conditions of an EndpointSlice count where they differ from the pod’s', (t) => {
  const endpoint = (conditions: object, more: object = {}) => ({
    addresses: ['10.244.1.5'],
    targetRef: { kind: 'Pod', name: 'db' },
    conditions,
    ...more,
  });
  const index = indexOf(service('db'), pod('db'), slice('db-1', 'db', [endpoint({ ready: true })]));
  t.deepEqual(workload(index, 'db').endpointConditions, []);
  const hints = { forZones: [{ name: 'z' }], forNodes: [{ name: 'n' }] };
  index.apply(slice('db-1', 'db', [endpoint({ ready: false, serving: true, terminating: true }, { hints })]));
  index.commit();
  t.deepEqual(workload(index, 'db').endpointConditions, [
    { service: KEY, ready: false, serving: true, terminating: true, forZones: ['z'], forNodes: ['n'] },
  ]);
});

test('a pod that is being deleted is no ready endpoint, whatever its slice still says', (t) => {
  const ready = { addresses: ['10.244.1.5'], targetRef: { kind: 'Pod', name: 'db' }, conditions: { ready: true } };
  const deleted = pod('db', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
  const index = indexOf(service('db'), deleted, slice('db-1', 'db', [ready]));
  t.like(workload(index, 'db'), { healthy: false, serving: true, terminating: true, endpointConditions: [] });
});

test('publishNotReadyAddresses keeps a pod ready for that Service only', (t) => {
  const down = { conditions: [{ type: 'Ready', status: 'False' }] };
  const ready = { addresses: ['10.244.1.5'], targetRef: { kind: 'Pod', name: 'db' }, conditions: { ready: true } };
  const index = indexOf(
    service('db', { publishNotReadyAddresses: true }),
    pod('db', { status: down }),
    slice('db-1', 'db', [ready]),
  );
  t.true(derivedService(index, 'db').publishNotReadyAddresses);
  t.like(workload(index, 'db'), { healthy: false });
  t.like(workload(index, 'db').endpointConditions[0], { ready: true });
});

test('endpoints of a Service without selector are workloads of their own', (t) => {
  const index = indexOf(
    service('ext', { selector: undefined }),
    slice('ext-1', 'ext', [{ addresses: ['192.0.2.7'], zone: 'z9' }], [{ port: 5432 }]),
  );
  const uid = 'Kubernetes/discovery.k8s.io/EndpointSlice/shop/ext-1/192.0.2.7';
  t.like(index.snapshotFor('n').workloads.get(uid)?.value, {
    addresses: ['192.0.2.7'],
    enrolled: false,
    healthy: true,
    locality: { zone: 'z9' },
    services: [{ service: 'shop/ext.shop.svc.cluster.local', ports: [{ servicePort: 80, targetPort: 5432 }] }],
  });
  index.remove(refOf(slice('ext-1', 'ext', [])));
  t.deepEqual(index.commit().workloads.removed, [uid]);
});

test('an address of a slice that belongs to a pod is that pod, whichever comes first', (t) => {
  const ext = service('ext', { selector: undefined });
  const bare = slice('ext-1', 'ext', [{ addresses: ['10.244.1.5'] }], [{ port: 9000 }]);
  for (const order of [
    [ext, bare, pod('a')],
    [pod('a'), bare, ext],
    [bare, pod('a'), ext],
  ]) {
    const index = indexOf();
    for (const each of order) {
      index.apply(each);
      index.commit();
    }
    t.is(index.counts.workloads, 1);
    t.deepEqual(workload(index, 'a').services[0]?.ports, [{ servicePort: 80, targetPort: 9000 }]);
  }
});

test('a trust domain of MeshConfig is every identity’s', (t) => {
  const mesh = object(
    '{apiVersion: aquifer.dev/v1alpha1, kind: MeshConfig, metadata: {name: default}, spec: {trustDomain: td.example}}',
  );
  const index = indexOf(pod('a'), mesh);
  t.is(workload(index, 'a').trustDomain, 'td.example');
  index.remove(refOf(mesh));
  index.commit();
  t.is(workload(index, 'a').trustDomain, 'cluster.local');
});
