import test from 'ava';
import { decode, encode, type RecordType, TRUNCATED_RESPONSE } from 'dns-packet';
import { Store } from '../../../deploy/lab/cluster/store.ts';
import { reply, zoneOf } from '../../../deploy/lab/node/dns/server.ts';
import { answer } from '../../../deploy/lab/node/dns/zone.ts';
import { service, slice } from './objects.ts';

const store = new Store();
const port = { name: 'http', port: 8080, protocol: 'TCP' };
store.set(service('web', { clusterIPs: ['10.96.0.11', 'fd00:10:96::b'], ports: [{ name: 'http', port: 80 }] }));
store.set(service('db', { clusterIP: 'None', clusterIPs: ['None'], ports: [{ name: 'http', port: 80 }] }));
store.set(service('far', { type: 'ExternalName', externalName: 'example.org' }));
store.set(service('big', { clusterIP: 'None', clusterIPs: ['None'] }));
store.set(
  slice(
    'db',
    [
      { addresses: ['10.244.1.5'], hostname: 'first', conditions: { ready: true } },
      { addresses: ['10.244.1.6'], conditions: { ready: false } },
    ],
    [port],
  ),
);
store.set(slice('db', [{ addresses: ['fd00:10:244:1::5'], hostname: 'first' }], [port], true));
store.set(
  slice(
    'big',
    Array.from({ length: 100 }, (_, index) => ({ addresses: [`10.244.3.${index}`] })),
    [],
  ),
);
const view = zoneOf(store);

function ask(name: string, type: RecordType): string[] {
  const { rcode, answers } = answer({ name, type }, view);
  if (rcode !== 'NOERROR') return [rcode];
  return answers.map((record) => ('data' in record ? JSON.stringify(record.data) : '').replaceAll('"', ''));
}

test('a Service answers with its addresses by family', (t) => {
  t.deepEqual(ask('web.shop.svc.cluster.local', 'A'), ['10.96.0.11']);
  t.deepEqual(ask('WEB.shop.svc.cluster.local', 'AAAA'), ['fd00:10:96::b']);
});

test('a name without data of a type is not a name that does not exist', (t) => {
  t.deepEqual(ask('web.shop.svc.cluster.local', 'TXT'), []);
  t.deepEqual(ask('shop.svc.cluster.local', 'A'), []);
  t.deepEqual(ask('nobody.shop.svc.cluster.local', 'A'), ['NXDOMAIN']);
  t.deepEqual(ask('web.shop.svc.cluster.local.shop.svc.cluster.local', 'A'), ['NXDOMAIN']);
  t.deepEqual(ask('example.org', 'A'), ['NXDOMAIN']);
});

test('a headless Service answers with its ready endpoints, and its pods have names', (t) => {
  t.deepEqual(ask('db.shop.svc.cluster.local', 'A'), ['10.244.1.5']);
  t.deepEqual(ask('db.shop.svc.cluster.local', 'AAAA'), ['fd00:10:244:1::5']);
  t.deepEqual(ask('first.db.shop.svc.cluster.local', 'A'), ['10.244.1.5']);
  t.deepEqual(ask('second.db.shop.svc.cluster.local', 'A'), ['NXDOMAIN']);
});

test('an ExternalName answers with its alias', (t) => {
  t.deepEqual(ask('far.shop.svc.cluster.local', 'A'), ['example.org']);
});

test('named ports have SRV records', (t) => {
  t.deepEqual(ask('_http._tcp.web.shop.svc.cluster.local', 'SRV'), [
    '{priority:0,weight:100,port:80,target:web.shop.svc.cluster.local}',
  ]);
  t.deepEqual(ask('_http._tcp.db.shop.svc.cluster.local', 'SRV'), [
    '{priority:0,weight:100,port:8080,target:first.db.shop.svc.cluster.local}',
  ]);
  t.deepEqual(ask('_grpc._tcp.web.shop.svc.cluster.local', 'SRV'), ['NXDOMAIN']);
});

test('addresses have PTR records in both families', (t) => {
  t.deepEqual(ask('11.0.96.10.in-addr.arpa', 'PTR'), ['web.shop.svc.cluster.local']);
  const nibbles = 'b.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa';
  t.deepEqual(ask(nibbles, 'PTR'), ['web.shop.svc.cluster.local']);
  t.deepEqual(ask('5.1.244.10.in-addr.arpa', 'PTR'), ['first.db.shop.svc.cluster.local']);
  t.deepEqual(ask('9.9.9.9.in-addr.arpa', 'PTR'), ['NXDOMAIN']);
});

function query(name: string, additionals: Parameters<typeof encode>[0]['additionals'] = []): Buffer {
  return encode({ type: 'query', id: 7, flags: 0x100, questions: [{ name, type: 'A', class: 'IN' }], additionals });
}

test('a large answer is truncated over UDP and whole over TCP', (t) => {
  const name = 'big.shop.svc.cluster.local';
  const udp = decode(reply(query(name), view, true) ?? Buffer.alloc(0));
  t.is((udp.flags ?? 0) & TRUNCATED_RESPONSE, TRUNCATED_RESPONSE);
  t.is(udp.answers?.length, 0);
  t.is(decode(reply(query(name), view, false) ?? Buffer.alloc(0)).answers?.length, 100);
});

test('a reply repeats the question and its id, and is authoritative', (t) => {
  const packet = decode(reply(query('nobody.shop.svc.cluster.local'), view, true) ?? Buffer.alloc(0));
  t.is(packet.id, 7);
  t.is((packet.flags ?? 0) & 15, 3);
  t.true(packet.flag_aa);
  t.is(packet.questions?.[0]?.name, 'nobody.shop.svc.cluster.local');
});

test('garbage and replies get no answer', (t) => {
  t.is(reply(Buffer.from('garbage'), view, true), null);
  t.is(reply(encode({ type: 'response', id: 1, questions: [] }), view, true), null);
});
