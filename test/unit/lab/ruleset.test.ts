import test from 'ava';
import type { NetworkPolicy } from '../../../deploy/lab/cluster/objects.ts';
import { policyRules } from '../../../deploy/lab/node/proxy/policies.ts';
import { serviceRules } from '../../../deploy/lab/node/proxy/services.ts';
import { pod, service, slice } from './objects.ts';

const port = { name: '', port: 8080, protocol: 'TCP' };
const web = service('web', { clusterIPs: ['10.96.0.11'], externalIPs: ['203.0.113.7'], ports: [{ port: 80 }] });

test('a Service address leads to one of its ready endpoints', (t) => {
  const endpoints = [
    { addresses: ['10.244.1.2'], conditions: { ready: true } },
    { addresses: ['10.244.2.2'], conditions: { ready: true } },
    { addresses: ['10.244.2.3'], conditions: { ready: false } },
  ];
  const rules = serviceRules([web], [slice('web', endpoints, [port])], 'node-1');
  t.regex(rules, /10\.96\.0\.11 \. tcp \. 80 : goto svc-0, 203\.0\.113\.7 \. tcp \. 80 : goto svc-0/);
  t.regex(rules, /numgen random mod 2 vmap/);
  t.regex(rules, /dnat ip to 10\.244\.1\.2:8080/);
  t.notRegex(rules, /10\.244\.2\.3/);
});

test('a Service without endpoints refuses at once', (t) => {
  const rules = serviceRules([web], [], 'node-1');
  t.regex(rules, /set without4 \{\n.*\n {2}elements = \{ 10\.96\.0\.11 \. tcp \. 80, 203\.0\.113\.7 \. tcp \. 80 \}/);
});

test('terminating endpoints that still serve are the last resort', (t) => {
  const leaving = { addresses: ['10.244.1.9'], conditions: { ready: false, serving: true, terminating: true } };
  t.regex(serviceRules([web], [slice('web', [leaving], [port])], 'node-1'), /10\.244\.1\.9/);
  const ready = { addresses: ['10.244.1.2'], conditions: { ready: true } };
  t.notRegex(serviceRules([web], [slice('web', [leaving, ready], [port])], 'node-1'), /10\.244\.1\.9/);
});

test('internalTrafficPolicy Local keeps to the node', (t) => {
  const local = service('web', { ...web.spec, internalTrafficPolicy: 'Local' });
  const endpoints = [
    { addresses: ['10.244.1.2'], nodeName: 'node-1' },
    { addresses: ['10.244.2.2'], nodeName: 'node-2' },
  ];
  const rules = serviceRules([local], [slice('web', endpoints, [port])], 'node-1');
  t.regex(rules, /10\.244\.1\.2/);
  t.notRegex(rules, /10\.244\.2\.2/);
});

test('session affinity remembers the caller for each endpoint', (t) => {
  const sticky = service('web', { ...web.spec, sessionAffinity: 'ClientIP' });
  const rules = serviceRules([sticky], [slice('web', [{ addresses: ['10.244.1.2'] }], [port])], 'node-1');
  t.regex(rules, /set aff-ep-0-0 \{\n {2}type ipv4_addr; flags dynamic,timeout; timeout 10800s/);
  t.regex(rules, /update @aff-ep-0-0/);
});

const caller = pod('caller', { labels: { app: 'caller' }, node: 'node-1', ips: ['10.244.1.4', 'fd00::4'] });
const db = pod('db', {
  labels: { app: 'db' },
  node: 'node-1',
  ips: ['10.244.1.5', 'fd00::5'],
  ports: [{ name: 'sql', containerPort: 5432 }],
});
const remote = pod('remote', { labels: { app: 'db' }, node: 'node-2', ips: ['10.244.2.5'] });

function policy(spec: NetworkPolicy['spec']): NetworkPolicy {
  return { kind: 'NetworkPolicy', metadata: { name: 'p', namespace: 'shop' }, spec };
}

function rulesOf(spec: NetworkPolicy['spec']): string {
  return policyRules({ pods: [caller, db, remote], namespaces: [], policies: [policy(spec)], node: 'node-1' });
}

test('an empty ingress list denies all to the selected pods of this node', (t) => {
  const rules = rulesOf({ podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Ingress'] });
  t.regex(rules, /chain ingress-10-244-1-5 \{\n {2}drop\n\}/);
  t.regex(rules, /ip daddr 10\.244\.1\.5 jump ingress-10-244-1-5/);
  t.regex(rules, /ip6 daddr fd00::5 jump/);
  t.notRegex(rules, /10\.244\.2\.5|10\.244\.1\.4/);
});

test('peers and ports of an ingress rule stand together', (t) => {
  const rules = rulesOf({
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [
      {
        from: [{ podSelector: { matchLabels: { app: 'caller' } } }],
        ports: [{ port: 'sql' }, { port: 9000, endPort: 9010 }],
      },
    ],
  });
  t.regex(rules, /ip saddr \{ 10\.244\.1\.4 \} tcp dport 5432 return/);
  t.regex(rules, /ip saddr \{ 10\.244\.1\.4 \} tcp dport 9000-9010 return/);
});

test('a peer that matches no pod admits nobody', (t) => {
  const rules = rulesOf({ podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'none' } } }] }] });
  t.notRegex(rules, /return/);
});

test('a rule without peers admits everybody', (t) => {
  t.regex(rulesOf({ podSelector: {}, ingress: [{}] }), /\n {2}return\n {2}drop/);
});

test('address blocks keep their exceptions', (t) => {
  const rules = rulesOf({
    podSelector: {},
    egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }] }],
  });
  t.regex(rules, /chain egress-10-244-1-4 \{\n {2}ip daddr 10\.0\.0\.0\/8 ip daddr != \{ 10\.1\.0\.0\/16 \} return/);
});
