import test from 'ava';
import { decideOutbound, factsOf, type OutboundRequest } from '../../../../agent/decide/outbound.ts';
import { EMPTY_SNAPSHOT } from '../../../../agent/model/snapshot.ts';
import type { EndpointCondition, Service, Workload } from '../../../../agent/model/workload.ts';
import { aService, aSnapshot, aWorkload, endpointOf, type MeshParts, serviceKeyOf } from '../../../support/mesh.ts';

const KEY = serviceKeyOf('shop/db');
const web = aWorkload('shop/web', {
  addresses: ['10.0.0.1', 'fd00::1'],
  locality: { region: 'r', zone: 'z1', subzone: '' },
});
const VIP4 = '10.96.0.5';
const VIP6 = 'fd00:10:96::5';

const db = (i: number, overrides: Partial<Workload> = {}) =>
  aWorkload(`shop/db-${i}`, {
    addresses: [`10.0.0.1${i}`, `fd00::1${i}`],
    services: endpointOf(['shop/db', { 80: 5432 }]),
    ...overrides,
  });
const dbService = (overrides: Partial<Service> = {}) =>
  aService('shop/db', { 80: 5432 }, { addresses: [VIP4, VIP6], ...overrides });
const condition = (fields: Partial<EndpointCondition>): Pick<Workload, 'endpointConditions'> => ({
  endpointConditions: new Map([
    [KEY, { ready: true, serving: true, terminating: false, forZones: [], forNodes: [], ...fields }],
  ]),
});

const ask = (address: string, port: number, source: Workload | null = web): OutboundRequest => ({
  source,
  sourceAddress: '10.0.0.1',
  destination: { address, port },
});

/** Names of the candidates, or the reason of the refusal. */
function reach(parts: MeshParts, request = ask(VIP4, 80)): string[] | string {
  const decision = decideOutbound(request, aSnapshot({ ...parts, workloads: [web, ...(parts.workloads ?? [])] }));
  if (decision.action === 'refuse') return decision.reason;
  return decision.candidates.map(({ workload, address, port }) => workload?.name ?? `${address} ${port}`);
}

test('a Service address leads to its endpoints, on their target port and by their own path', (t) => {
  const workloads = [web, db(1), db(2, { node: 'node-2' }), db(3, { enrolled: false }), db(4, { hostNetwork: true })];
  const decision = decideOutbound(ask(VIP4, 80), aSnapshot({ workloads, services: [dbService()] }));
  if (decision.action === 'refuse') return t.fail();
  t.is(decision.service?.key, KEY);
  t.is(decision.servicePort, 80);
  const found = decision.candidates.map(({ address, port, path }) => [address, port, path]);
  t.deepEqual(found, [
    ['10.0.0.11', 5432, 'SameNode'],
    ['10.0.0.12', 5432, 'CrossNode'],
    ['10.0.0.13', 5432, 'Passthrough'],
    ['10.0.0.14', 5432, 'Passthrough'],
  ]);
});

test('endpoints are of the family that was asked for', (t) => {
  const parts = { workloads: [db(1), db(2, { addresses: ['10.0.0.12'] })], services: [dbService()] };
  t.deepEqual(reach(parts, ask(VIP6, 80)), ['db-1']);
  t.deepEqual(reach(parts, ask('FD00:10:96:0::5', 80)), ['db-1']);
  t.deepEqual(reach(parts, ask(`::ffff:${VIP4}`, 80)), ['db-1', 'db-2']);
});

test('ready endpoints are used, else those that serve while they terminate, else none', (t) => {
  const services = [dbService()];
  const ready = db(1);
  const leaving = db(2, condition({ ready: false, serving: true, terminating: true }));
  const gone = db(3, condition({ ready: false, serving: false, terminating: true }));
  const unready = db(4, condition({ ready: false, serving: false }));
  t.deepEqual(reach({ workloads: [ready, leaving, gone, unready], services }), ['db-1']);
  t.deepEqual(reach({ workloads: [leaving, gone, unready], services }), ['db-2']);
  t.is(reach({ workloads: [gone, unready], services }), 'no_healthy_endpoint');
  t.is(reach({ services }), 'no_healthy_endpoint');
});

test('publishNotReadyAddresses takes all endpoints', (t) => {
  const workloads = [db(1), db(2, condition({ ready: false, serving: false }))];
  t.deepEqual(reach({ workloads, services: [dbService({ allowUnhealthy: true })] }), ['db-1', 'db-2']);
});

test('internalTrafficPolicy Local keeps to the node, also when it is empty', (t) => {
  const services = [dbService({ mode: 'strict', routingPreference: ['Node'] })];
  const far = db(2, { node: 'node-2' });
  t.deepEqual(reach({ workloads: [db(1), far], services }), ['db-1']);
  t.is(reach({ workloads: [far], services }), 'no_healthy_endpoint');
  const leaving = db(3, condition({ ready: false, serving: true, terminating: true }));
  t.deepEqual(reach({ workloads: [leaving, far], services }), ['db-3']);
});

test('trafficDistribution prefers what is near and falls back to what there is', (t) => {
  const services = [dbService({ mode: 'failover', routingPreference: ['Network', 'Region', 'Zone'] })];
  const at = (i: number, region: string, zone: string) => db(i, { locality: { region, zone, subzone: '' } });
  t.deepEqual(reach({ workloads: [at(1, 'r', 'z1'), at(2, 'r', 'z2'), at(3, 'q', 'z1')], services }), ['db-1']);
  t.deepEqual(reach({ workloads: [at(2, 'r', 'z2'), at(3, 'q', 'z1')], services }), ['db-2']);
  t.deepEqual(reach({ workloads: [at(3, 'q', 'z1'), at(4, 'p', 'z9')], services }), ['db-3']);
  t.deepEqual(reach({ workloads: [at(4, 'p', 'z9'), at(5, 'o', 'z8')], services }), ['db-4', 'db-5']);
});

test('EndpointSlice hints count when every ready endpoint has one and one is for the caller', (t) => {
  const services = [dbService()];
  const zone = (i: number, ...forZones: string[]) => db(i, condition({ forZones }));
  t.deepEqual(reach({ workloads: [zone(1, 'z1'), zone(2, 'z2')], services }), ['db-1']);
  t.deepEqual(reach({ workloads: [zone(1, 'z2'), zone(2, 'z3')], services }), ['db-1', 'db-2']);
  t.deepEqual(reach({ workloads: [zone(1, 'z1'), zone(2)], services }), ['db-1', 'db-2']);
  const node = (i: number, forNodes: string[], forZones: string[]) => db(i, condition({ forNodes, forZones }));
  t.deepEqual(reach({ workloads: [node(1, ['node-2'], ['z1']), node(2, ['node-1'], ['z2'])], services }), ['db-2']);
});

test('a named target port is each endpoint own, and one without it is none', (t) => {
  const services = [dbService({ ports: new Map([[80, { port: 80, targetPort: 0, appProtocol: 'unknown' }]]) })];
  const workloads = [
    db(1, { services: endpointOf(['shop/db', { 80: 5432 }]) }),
    db(2, { services: endpointOf(['shop/db', { 80: 6543 }]) }),
    db(3, { services: endpointOf(['shop/db', {}]) }),
  ];
  const decision = decideOutbound(ask(VIP4, 80), aSnapshot({ workloads: [web, ...workloads], services }));
  t.deepEqual(decision.action === 'connect' && decision.candidates.map(({ port }) => port), [5432, 6543]);
});

test('a port that the Service does not have is refused', (t) => {
  t.is(reach({ workloads: [db(1)], services: [dbService()] }, ask(VIP4, 81)), 'no_service_port');
});

test('an external address that is also a pod own serves the pod other ports', (t) => {
  const services = [dbService({ addresses: [VIP4, '10.0.0.19'] })];
  t.deepEqual(reach({ workloads: [db(1), db(9)], services }, ask('10.0.0.19', 80)), ['db-1', 'db-9']);
  t.deepEqual(reach({ workloads: [db(1), db(9)], services }, ask('10.0.0.19', 22)), ['db-9']);
});

test('Services that share an external address are told apart by port', (t) => {
  const shared = '203.0.113.9';
  const other = aService('shop/api', { 443: 8443 }, { addresses: [shared] });
  const api = aWorkload('shop/api-1', { addresses: ['10.0.0.20'], services: endpointOf(['shop/api', { 443: 8443 }]) });
  const parts = { workloads: [db(1), api], services: [dbService({ addresses: [shared] }), other] };
  t.deepEqual(reach(parts, ask(shared, 80)), ['db-1']);
  t.deepEqual(reach(parts, ask(shared, 443)), ['api-1']);
  t.is(reach(parts, ask(shared, 22)), 'no_service_port');
});

test('a pod address leads to the pod, and an unknown one to where it says', (t) => {
  const headless = dbService({ addresses: [] });
  t.deepEqual(reach({ workloads: [db(1)], services: [headless] }, ask('10.0.0.11', 9999)), ['db-1']);
  t.deepEqual(reach({}, ask('198.51.100.1', 443)), ['198.51.100.1 443']);
  t.deepEqual(reach({}, ask('2001:DB8:0:0::1', 443)), ['2001:db8::1 443']);
});

test('a Service without choice (PASSTHROUGH) leads to the original destination', (t) => {
  const services = [dbService({ mode: 'passthrough', addresses: ['198.51.100.1'] })];
  t.deepEqual(reach({ workloads: [db(1)], services }, ask('198.51.100.1', 81)), ['198.51.100.1 81']);
});

test('a pod reaches itself through its Service', (t) => {
  const self = aWorkload('shop/web', { ...web, services: endpointOf(['shop/db', { 80: 5432 }]) });
  const snapshot = aSnapshot({ workloads: [self], services: [dbService()] });
  const decision = decideOutbound(ask(VIP4, 80, self), snapshot);
  t.deepEqual(decision.action === 'connect' && decision.candidates.map(({ address, path }) => [address, path]), [
    ['10.0.0.1', 'SameNode'],
  ]);
});

test("the agent's own ports of captured pods are no destination, by pod address or through a Service", (t) => {
  for (const port of [15001, 15006, 15008]) {
    t.is(reach({ workloads: [db(1)] }, ask('10.0.0.11', port)), 'self_call');
    t.is(reach({}, ask('10.0.0.1', port)), 'self_call');
    t.is(reach({}, ask('::ffff:10.0.0.1', port)), 'self_call');
    t.deepEqual(reach({ workloads: [db(1, { enrolled: false })] }, ask('10.0.0.11', port)), ['db-1']);
    const workloads = [db(1, { services: endpointOf(['shop/db', { 80: port }]) })];
    t.is(reach({ workloads, services: [dbService()] }), 'self_call');
  }
});

test('what has not arrived yet is awaited', (t) => {
  t.is((decideOutbound(ask(VIP4, 80), EMPTY_SNAPSHOT) as { reason?: string }).reason, 'awaiting_workload');
  t.is(reach({}, ask(VIP4, 80, null)), 'awaiting_workload');
  const waiting = aWorkload('shop/web', { policies: [{ name: 'shop/p', direction: 'Outbound', version: '1' }] });
  const snapshot = aSnapshot({ workloads: [waiting] });
  t.like(decideOutbound(ask(VIP4, 80, waiting), snapshot), { action: 'refuse', reason: 'awaiting_policy' });
  t.is(reach({}, ask('nonsense', 80)), 'internal');
});

test('the address of a resource that was refused is not taken for the outside', (t) => {
  const snapshot = { ...aSnapshot({ workloads: [web] }), heldAddresses: new Set([VIP4]) };
  t.like(decideOutbound(ask(VIP4, 80), snapshot), { action: 'refuse', reason: 'awaiting_workload' });
});

test('candidates are chosen anew when an endpoint changes, and not otherwise', (t) => {
  const before = aSnapshot({ workloads: [web, db(1)], services: [dbService()] });
  const first = decideOutbound(ask(VIP4, 80), before);
  const second = decideOutbound(ask(VIP4, 80), before);
  if (first.action === 'refuse' || second.action === 'refuse') return t.fail();
  t.is(first.candidates, second.candidates);
  t.like(factsOf(ask(VIP4, 80), first, first.candidates[0] ?? t.fail()), {
    destinationAddress: '10.0.0.11',
    destinationPort: 5432,
    servicePort: 80,
    sourceIdentity: web.identity,
  });
});
