import test from 'ava';
import { endpointSlices } from '../../../deploy/lab/cluster/endpoints.ts';
import { pod, service } from './objects.ts';

const ips = ['10.244.1.2', 'fd00:10:244:1::2'];
const spec = {
  selector: { app: 'web' },
  ports: [{ name: 'http', port: 80, targetPort: 8080 }],
  ipFamilies: ['IPv4', 'IPv6'],
};
const labels = { app: 'web' };
const noZone = (): undefined => undefined;

test('each family has a slice with the ports of the pods', (t) => {
  const slices = endpointSlices(service('web', spec), [pod('a', { labels, ips, node: 'node-1' })], () => 'zone-a');
  t.deepEqual(
    slices.map((slice) => slice.addressType),
    ['IPv4', 'IPv6'],
  );
  t.deepEqual(slices[0]?.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }]);
  t.like(slices[1]?.endpoints?.[0], { addresses: ['fd00:10:244:1::2'], nodeName: 'node-1', zone: 'zone-a' });
});

test('conditions tell ready, serving and terminating apart', (t) => {
  const pods = [
    pod('a', { labels, ips }),
    pod('b', { labels, ips, ready: false }),
    pod('c', { labels, ips, terminating: true }),
    pod('d', { labels, ips, terminating: true, ready: false }),
  ];
  const [slice] = endpointSlices(service('web', { ...spec, ipFamilies: ['IPv4'] }), pods, noZone);
  t.deepEqual(
    slice?.endpoints?.map((endpoint) => endpoint.conditions),
    [
      { ready: true, serving: true, terminating: false },
      { ready: false, serving: false, terminating: false },
      { ready: false, serving: true, terminating: true },
      { ready: false, serving: false, terminating: true },
    ],
  );
});

test('publishNotReadyAddresses makes all ready', (t) => {
  const always = service('web', { ...spec, ipFamilies: ['IPv4'], publishNotReadyAddresses: true });
  const [slice] = endpointSlices(always, [pod('a', { labels, ips, ready: false })], noZone);
  t.true(slice?.endpoints?.[0]?.conditions?.ready);
});

test('a named target port is looked up on each pod, so that pods may differ', (t) => {
  const named = service('web', { ...spec, ipFamilies: ['IPv4'], ports: [{ port: 80, targetPort: 'http' }] });
  const pods = [
    pod('a', { labels, ips: ['10.0.0.1'], ports: [{ name: 'http', containerPort: 8080 }] }),
    pod('b', { labels, ips: ['10.0.0.2'], ports: [{ name: 'http', containerPort: 9090 }] }),
    pod('c', { labels, ips: ['10.0.0.3'] }),
  ];
  const slices = endpointSlices(named, pods, noZone);
  t.deepEqual(
    slices.map((slice) => slice.ports?.[0]?.port),
    [8080, 9090, undefined],
  );
  t.is(new Set(slices.map((slice) => slice.metadata.name)).size, 3);
});

test('finished pods and pods without address are no endpoints', (t) => {
  const pods = [pod('a', { labels, ips, phase: 'Succeeded' }), pod('b', { labels })];
  const [slice] = endpointSlices(service('web', spec), pods, noZone);
  t.deepEqual(slice?.endpoints, []);
});

test('a Service without selector has none of the lab', (t) => {
  t.deepEqual(endpointSlices(service('web', { ports: [{ port: 80 }] }), [pod('a', { labels, ips })], noZone), []);
});

test('hostname and subdomain name the endpoint', (t) => {
  const named = pod('a', { labels, ips });
  named.spec.hostname = 'first';
  named.spec.subdomain = 'web';
  const [slice] = endpointSlices(service('web', spec), [named], noZone);
  t.is(slice?.endpoints?.[0]?.hostname, 'first');
});
