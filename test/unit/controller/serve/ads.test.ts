import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import * as grpc from '@grpc/grpc-js';
import test from 'ava';
import {
  AuthorizationExtensionSchema,
  OutboundAuthorizationSchema,
  WorkloadExtensionSchema,
} from '../../../../controller/proto/gen/aquifer/v1/extensions_pb.js';
import type { DeltaDiscoveryResponse } from '../../../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { AuthorizationSchema } from '../../../../controller/proto/gen/istio/authorization_pb.js';
import { AddressSchema, TunnelProtocol } from '../../../../controller/proto/gen/istio/workload_pb.js';
import { TYPE_URLS } from '../../../../controller/serve/types.ts';
import { until } from '../../../support/eventually.ts';
import { TestController } from '../support/controller.ts';
import type { ScriptedClient } from '../support/scripted-client.ts';

const SHOP = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {aquifer.dev/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.5, selector: {app: db}, ports: [{port: 80, targetPort: 5432}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}, uid: u1}
spec: {nodeName: node-1, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.244.1.5}], conditions: [{type: Ready, status: "True"}]}
`;
const POLICY = (action: string, more = '') => `
apiVersion: aquifer.dev/v1alpha1
kind: L4Policy
metadata: {name: p, namespace: shop}
spec: {action: ${action}, rules: [{from: [{serviceAccounts: [web]}]}]${more}}
`;

const names = (response: DeltaDiscoveryResponse) => response.resources.map(({ name }) => name).sort();
const DB_0 = 'Kubernetes//Pod/shop/db-0';
const DB = 'shop/db.shop.svc.cluster.local';

/** Subscribes to everything of a type and takes the first answer. */
async function subscribe(client: ScriptedClient, typeUrl: string, versions: Record<string, string> = {}) {
  client.send({ node: 'node-1', typeUrl, versions });
  const response = await client.next();
  client.ack(response);
  return response;
}

test('a client gets everything, with versions and aliases, and an answer where there is nothing', async (t) => {
  const controller = await TestController.start(t, { 'shop.yaml': SHOP, 'p.yaml': POLICY('Allow') });
  const client = controller.connect();
  const addresses = await subscribe(client, TYPE_URLS.address);
  t.deepEqual(names(addresses), [DB_0, DB]);
  const workload = addresses.resources.find(({ name }) => name === DB_0);
  t.deepEqual(workload?.aliases, ['/10.244.1.5']);
  const address = fromBinary(AddressSchema, workload?.resource?.value ?? new Uint8Array());
  if (address.type.case !== 'workload') return t.fail();
  t.is(address.type.value.tunnelProtocol, TunnelProtocol.HBONE);
  t.deepEqual(
    address.type.value.addresses.map((bytes) => [...bytes]),
    [[10, 244, 1, 5]],
  );
  t.like(address.type.value.services[DB]?.ports[0], { servicePort: 80, targetPort: 5432 });
  const config = address.type.value.extensions[0]?.config;
  const extension = config === undefined ? undefined : anyUnpack(config, WorkloadExtensionSchema);
  t.like(extension, { podUid: 'u1', serving: true });

  const policies = await subscribe(client, TYPE_URLS.authorization);
  t.deepEqual(names(policies), ['shop/p']);
  t.like(extension?.policies[0], { name: 'shop/p', version: policies.resources[0]?.version });
  const authorization = fromBinary(AuthorizationSchema, policies.resources[0]?.resource?.value ?? new Uint8Array());
  t.like(authorization.rules[0]?.clauses[0]?.matches[0]?.serviceAccounts[0], {
    namespace: 'shop',
    serviceAccount: 'web',
  });

  const outbound = await subscribe(client, TYPE_URLS.outbound);
  t.deepEqual([outbound.resources.length, outbound.removedResources.length], [0, 0]);
});

test('a change brings what changed and nothing else, a deletion its name', async (t) => {
  const controller = await TestController.start(t, { 'shop.yaml': SHOP });
  const client = controller.connect();
  await subscribe(client, TYPE_URLS.authorization);
  controller.write('p.yaml', POLICY('Allow', ', targetRefs: [{group: "", kind: Service, name: db}]'));
  const added = await client.next();
  t.deepEqual(names(added), ['shop/p']);
  const made = fromBinary(AuthorizationSchema, added.resources[0]?.resource?.value ?? new Uint8Array());
  const config = made.extensions[0]?.config;
  t.deepEqual(config && anyUnpack(config, AuthorizationExtensionSchema)?.appliesToPorts, [5432]);
  client.ack(added);
  await controller.call('POST', '/v1/delete', POLICY('Allow'));
  const removed = await client.next();
  t.deepEqual([names(removed), removed.removedResources], [[], ['shop/p']]);
});

test('a client that comes back gets only what it does not hold', async (t) => {
  const controller = await TestController.start(t, { 'shop.yaml': SHOP });
  const first = controller.connect();
  const all = await subscribe(first, TYPE_URLS.address);
  const held = Object.fromEntries(all.resources.map(({ name, version }) => [name, version]));
  first.close();
  await controller.restart();
  const again = controller.connect();
  const response = await subscribe(again, TYPE_URLS.address, { ...held, [DB]: 'old', 'shop/gone.example': 'x' });
  t.deepEqual([names(response), response.removedResources], [[DB], ['shop/gone.example']]);
});

test('one response is outstanding; what changes meanwhile comes as one, in its last state', async (t) => {
  const controller = await TestController.start(t, { 'shop.yaml': SHOP });
  const client = controller.connect();
  await subscribe(client, TYPE_URLS.authorization);
  await controller.call('POST', '/v1/apply', POLICY('Allow'));
  const first = await client.next();
  for (const action of ['Deny', 'Allow', 'Deny']) await controller.call('POST', '/v1/apply', POLICY(action));
  t.is(client.responses.length, 2);
  client.ack(first);
  const second = await client.next();
  const { action } = fromBinary(AuthorizationSchema, second.resources[0]?.resource?.value ?? new Uint8Array());
  t.is(action, 1);
  client.ack(second);
  await controller.call('POST', '/v1/delete', POLICY('Deny'));
  t.deepEqual((await client.next()).removedResources, ['shop/p']);
  t.is(client.responses.length, 4);
});

interface Status {
  agents: {
    node: string;
    connected: boolean;
    acked: number;
    nacked: number;
    lastError: string | null;
    snapshotVersion: number;
  }[];
}
interface Items {
  items: { status: { conditions: { type: string; status: string; message: string }[] } }[];
}

test('a refusal is kept by node, told, and over with the next version that is taken', async (t) => {
  const controller = await TestController.start(t, { 'shop.yaml': SHOP });
  const client = controller.connect();
  await subscribe(client, TYPE_URLS.authorization);
  await controller.call('POST', '/v1/apply', POLICY('Allow'));
  const enforced = async () => {
    const { body } = await controller.call<Items>('GET', '/v1/objects?kind=L4Policy');
    return body.items[0]?.status.conditions.find(({ type }) => type === 'Enforced');
  };
  const agent = async () => (await controller.call<Status>('GET', '/v1/status')).body.agents[0];
  const refused = await client.next();
  client.send({ typeUrl: refused.typeUrl, nonce: refused.nonce, error: 'unknown field 99' });
  await until('the refusal is known', async () => (await agent())?.nacked === 1);
  t.like(await agent(), { node: 'node-1', connected: true, lastError: 'unknown field 99' });
  t.like(await enforced(), { status: 'False', message: 'in force on 0 of 1 nodes' });
  // The same is not sent again.
  t.is(client.responses.length, 2);
  await controller.call('POST', '/v1/apply', POLICY('Deny'));
  client.ack(await client.next());
  await until('it is in force', async () => (await enforced())?.status === 'True');
  t.like(await enforced(), { message: 'in force on 1 of 1 nodes' });
  t.like(await agent(), { lastError: null });
  client.close();
  await until('it is gone', async () => (await agent())?.connected === false);
  t.like(await enforced(), { message: 'in force on 0 of 1 nodes' });
});

test('an acknowledgement of something else counts for nothing', async (t) => {
  const controller = await TestController.start(t, { 'shop.yaml': SHOP, 'p.yaml': POLICY('Allow') });
  const client = controller.connect();
  client.send({ node: 'node-1', typeUrl: TYPE_URLS.authorization });
  await client.next();
  client.send({ typeUrl: TYPE_URLS.authorization, nonce: 'stale' });
  await controller.call('POST', '/v1/apply', POLICY('Deny'));
  const { body } = await controller.call<Status>('GET', '/v1/status');
  t.like(body.agents[0], { node: 'node-1', connected: true, acked: 0, snapshotVersion: -1 });
  t.like(body.agents[1], { node: 'node-2', connected: false });
  t.is(client.responses.length, 1);
});

test('names can be asked for, also by address, and are answered when they do not exist', async (t) => {
  const controller = await TestController.start(t, { 'shop.yaml': SHOP });
  const client = controller.connect();
  client.send({ node: 'node-1', typeUrl: TYPE_URLS.address, subscribe: ['/10.96.0.5', '/10.9.9.9'] });
  const response = await client.next();
  t.deepEqual([names(response), response.removedResources], [[DB], ['/10.9.9.9']]);
  client.ack(response);
  client.send({ typeUrl: TYPE_URLS.address, subscribe: [DB_0], unsubscribe: [DB] });
  t.deepEqual(names(await client.next()), [DB_0]);
});

test('an Outbound policy is a resource of our own', async (t) => {
  const rules = ', direction: Outbound, rules: [{to: [{services: [db], ports: [80, "8000-8100"], notPorts: [8001]}]}]';
  const yaml = POLICY('Deny').replace(/, rules: .*\}$/m, `${rules}}`);
  const controller = await TestController.start(t, { 'shop.yaml': SHOP, 'p.yaml': yaml });
  const response = await subscribe(controller.connect(), TYPE_URLS.outbound);
  const policy = fromBinary(OutboundAuthorizationSchema, response.resources[0]?.resource?.value ?? new Uint8Array());
  t.like(policy.rules[0]?.to[0], { services: ['shop/db'], ports: [80], notPorts: [8001] });
  t.like(policy.rules[0]?.to[0]?.portRanges[0], { first: 8000, last: 8100 });
});

test('only a node’s own token opens a stream', async (t) => {
  const controller = await TestController.start(t);
  for (const token of [null, 'wrong', '']) {
    const client = controller.connect(token);
    client.send({ node: 'node-1', typeUrl: TYPE_URLS.address });
    t.is((await client.ended()).code, grpc.status.UNAUTHENTICATED);
  }
  const other = controller.connect('token-2');
  other.send({ node: 'node-1', typeUrl: TYPE_URLS.address });
  t.is((await other.ended()).code, grpc.status.PERMISSION_DENIED);
  t.is(other.responses.length, 0);
});

test('a type that is not served ends the stream', async (t) => {
  const client = (await TestController.start(t)).connect();
  client.send({ node: 'node-1', typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' });
  t.is((await client.ended()).code, grpc.status.INVALID_ARGUMENT);
});

test('leftover streams of a node give way', async (t) => {
  const controller = await TestController.start(t);
  const clients: ScriptedClient[] = [];
  for (let at = 0; at < 5; at++) {
    const client = controller.connect();
    await subscribe(client, TYPE_URLS.address);
    clients.push(client);
  }
  t.is((await clients[0]?.ended())?.code, grpc.status.RESOURCE_EXHAUSTED);
  t.true(clients.slice(1).every(({ status }) => status === null));
});

test('pushes, refusals, agents, objects and convergence are counted', async (t) => {
  const controller = await TestController.start(t, { 'shop.yaml': SHOP });
  const client = controller.connect();
  await subscribe(client, TYPE_URLS.authorization);
  await until('in sync', async () => (await controller.call<Status>('GET', '/v1/status')).body.agents[0]?.acked === 1);
  await controller.call('POST', '/v1/apply', POLICY('Allow'));
  client.ack(await client.next());
  await controller.call('POST', '/v1/apply', POLICY('Deny'));
  const refused = await client.next();
  client.send({ typeUrl: refused.typeUrl, nonce: refused.nonce, error: 'no' });
  await until('the refusal is counted', async () =>
    (await controller.metrics()).includes('rejects_total{type="Authorization"} 1'),
  );
  const text = await controller.metrics();
  for (const line of [
    'aquifer_controller_pushes_total{type="Authorization"} 3',
    'aquifer_controller_connected_agents 1',
    'aquifer_controller_objects{kind="L4Policy"} 1',
    'aquifer_controller_convergence_seconds_count 1',
  ]) {
    t.true(text.includes(line), `${line}\n${text}`);
  }
});
