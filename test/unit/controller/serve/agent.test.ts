import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { pino } from 'pino';
import { ControllerClient } from '../../../../agent/sync/controller-client.ts';
import { SnapshotStore } from '../../../../agent/sync/snapshot-store.ts';
import { until } from '../../../support/eventually.ts';
import { TestController } from '../support/controller.ts';

const SHOP = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {aquifer.dev/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}, uid: u1}
spec: {nodeName: node-1, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: 10.244.1.5}], conditions: [{type: Ready, status: "True"}]}
`;
const POLICY = `
apiVersion: aquifer.dev/v1alpha1
kind: L4Policy
metadata: {name: p, namespace: shop}
spec: {action: Allow, rules: [{from: [{serviceAccounts: [web]}]}]}
`;

test('the real agent client follows the real controller, and confirms what is in force', async (t) => {
  const controller = await TestController.start(t, { 'shop.yaml': SHOP });
  const stateDir = join(controller.root, 'agent');
  const tokenFile = join(controller.root, 'token');
  mkdirSync(stateDir, { mode: 0o700 });
  writeFileSync(tokenFile, 'token-1\n');
  const store = new SnapshotStore();
  const client = new ControllerClient({
    store,
    logger: pino({ level: 'silent' }),
    config: {
      node: 'node-1',
      stateDir,
      controller: {
        address: `127.0.0.1:${controller.port}`,
        caFile: join(controller.root, 'state', 'ca.pem'),
        tokenFile,
        serverName: 'aquifer-controller.aquifer-system.svc',
      },
    },
  });
  t.teardown(() => client.close());
  client.start();
  await until('in sync', () => client.state.synced);
  t.like(store.current.workloadByAddress.get('10.244.1.5'), { name: 'db-0', enrolled: true, policies: [] });
  await controller.call('POST', '/v1/apply', POLICY);
  await until('the policy is live', () => store.current.policies.has('Inbound shop/p'));
  await until('the workload names it', () => store.current.workloadByAddress.get('10.244.1.5')?.policies?.length === 1);
  t.is(store.current.awaiting.size, 0);
  type Items = { items: { status: { conditions: { status: string }[] } }[] };
  await until('it is confirmed', async () => {
    const { body } = await controller.call<Items>('GET', '/v1/objects?kind=L4Policy');
    return body.items[0]?.status.conditions[2]?.status === 'True';
  });
  await controller.call('POST', '/v1/delete', POLICY);
  await until('it is gone', () => store.current.policies.size === 0);
  t.deepEqual(client.state.rejections, []);
});
