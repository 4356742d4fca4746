import test from 'ava';
import { derivedService, indexOf } from '../support/index.ts';
import { object, service } from '../support/objects.ts';

const derive = (spec: object, metadata: object = {}) => derivedService(indexOf(service('db', spec, metadata)), 'db');

test('a Service has its cluster, external and load balancer addresses of both families', (t) => {
  const found = derive({ clusterIPs: ['10.96.0.1', 'FD00::0001'], externalIPs: ['192.0.2.1', '10.96.0.1'] });
  t.deepEqual(found.addresses, ['10.96.0.1', 'fd00::1', '192.0.2.1']);
  t.is(found.ipFamilies, 'dual');
  t.is(found.key, 'shop/db.shop.svc.cluster.local');
});

test('headless and ExternalName Services have no address', (t) => {
  t.deepEqual(derive({ clusterIP: 'None' }).addresses, []);
  t.like(derive({ type: 'ExternalName', externalName: 'x.example', clusterIP: undefined }), {
    addresses: [],
    type: 'ExternalName',
  });
});

test('protocols come from appProtocol, else from the port’s name', (t) => {
  const one = (port: object) => derive({ ports: [{ port: 80, ...port }] }).ports[0]?.appProtocol;
  t.is(one({}), 'unknown');
  t.is(one({ name: 'http-api' }), 'http11');
  t.is(one({ name: 'grpc' }), 'grpc');
  t.is(one({ name: 'grpc-web' }), 'http11');
  t.is(one({ name: 'https-x' }), 'tls');
  t.is(one({ name: 'redis' }), 'tcp');
  t.is(one({ name: 'constructor' }), 'unknown');
  t.is(one({ name: 'http', appProtocol: 'kubernetes.io/h2c' }), 'http2');
  t.is(one({ name: 'http', appProtocol: 'example.com/own' }), 'unknown');
});

test('traffic policy and distribution become a mode and a preference', (t) => {
  const mode = ({ mode: m, routingPreference }: ReturnType<typeof derive>) => [m, ...routingPreference];
  t.deepEqual(mode(derive({})), ['standard']);
  t.deepEqual(mode(derive({ internalTrafficPolicy: 'Local', trafficDistribution: 'PreferClose' })), ['strict', 'Node']);
  t.deepEqual(mode(derive({ trafficDistribution: 'PreferSameZone' })), ['failover', 'Network', 'Region', 'Zone']);
  t.deepEqual(mode(derive({ trafficDistribution: 'PreferSameNode' })).at(-1), 'Node');
  const annotations = { 'networking.istio.io/traffic-distribution': 'PreferClose' };
  t.deepEqual(mode(derive({}, { annotations })), ['failover', 'Network', 'Region', 'Zone']);
});

test('a namespace’s traffic distribution reaches the Services that are there', (t) => {
  const index = indexOf(service('db'));
  t.is(derivedService(index, 'db').mode, 'standard');
  index.apply(
    object(
      '{apiVersion: v1, kind: Namespace, metadata: {name: shop, annotations: {networking.istio.io/traffic-distribution: PreferClose}}}',
    ),
  );
  index.commit();
  t.is(derivedService(index, 'db').mode, 'failover');
});

test('session affinity has kube-proxy’s default time', (t) => {
  t.is(derive({}).sessionAffinitySeconds, 0);
  t.is(derive({ sessionAffinity: 'ClientIP' }).sessionAffinitySeconds, 10_800);
  const sessionAffinityConfig = { clientIP: { timeoutSeconds: 5 } };
  t.is(derive({ sessionAffinity: 'ClientIP', sessionAffinityConfig }).sessionAffinitySeconds, 5);
});
