import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '../../../support/eventually.ts';
import { TestController } from '../support/controller.ts';

const NS = (name: string) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}}\n`;

test('objects can be applied, listed, watched and deleted', async (t) => {
  const controller = await TestController.start(t, { 'a.yaml': NS('from-directory') });
  const watch = controller.watch('/v1/watch?kinds=Namespace');
  t.teardown(watch.stop);
  await until('synced', () => watch.lines.some(({ type }) => type === 'SYNCED'));
  const applied = await controller.call('POST', '/v1/apply', NS('shop'));
  t.is(applied.status, 200);
  t.like(applied.body, { results: [{ kind: 'Namespace', name: 'shop', result: 'created', errors: [], warnings: [] }] });
  const listed = await controller.call<{ items: { metadata: { name: string } }[] }>(
    'GET',
    '/v1/objects?kind=Namespace',
  );
  t.deepEqual(
    listed.body.items.map(({ metadata }) => metadata.name),
    ['from-directory', 'shop'],
  );
  t.like((await controller.call('POST', '/v1/delete', NS('shop'))).body, { results: [{ result: 'deleted' }] });
  await until('the deletion is told', () => watch.lines.length >= 4);
  t.deepEqual(
    watch.lines.map(({ type, object }) => `${type} ${object?.metadata.name ?? ''}`.trim()),
    ['ADDED from-directory', 'SYNCED', 'ADDED shop', 'DELETED shop'],
  );
});

test('an invalid request is 422 and changes nothing, not even what is live', async (t) => {
  const controller = await TestController.start(t);
  await controller.call('POST', '/v1/apply', NS('shop'));
  const { status, body } = await controller.call<{ results: { errors: object[] }[] }>(
    'POST',
    '/v1/apply',
    `${NS('other')}---\n${NS('shop').replace('{name: shop}', '{name: shop, labels: {x: 1}}')}`,
  );
  t.is(status, 422);
  t.like(body.results[1]?.errors[0], { line: 7, field: 'metadata.labels.x' });
  const { body: listed } = await controller.call<{ items: object[] }>('GET', '/v1/objects?kind=Namespace');
  t.is(listed.items.length, 1);
});

const OUT = `apiVersion: aquifer.dev/v1alpha1
kind: L4Policy
metadata: {name: out, namespace: shop}
spec:
  direction: Outbound
  action: Deny
  rules:
  - to:
    - hosts: [api.example.com]
`;

test('a policy that cannot be enforced as written is taken with an error, also as a dry run', async (t) => {
  const controller = await TestController.start(t);
  const errors = [{ line: 9, field: 'spec.rules[0].to[0].hosts[0]' }];
  const before = await controller.call<{ version: number }>('GET', '/v1/status');
  t.like((await controller.call('POST', '/v1/apply?dryRun=true', OUT)).body, {
    results: [{ result: 'created', errors }],
  });
  const after = await controller.call<{ version: number }>('GET', '/v1/status');
  t.deepEqual(after.body, before.body);
  t.like((await controller.call('POST', '/v1/apply', OUT)).body, { results: [{ result: 'created', errors }] });
  const { body } = await controller.call<{ items: { status: { conditions: object[] } }[] }>(
    'GET',
    '/v1/objects?kind=L4Policy',
  );
  t.like(body.items[0]?.status.conditions[2], { type: 'Enforced', status: 'False', reason: 'NotEnforceable' });
});

test('a policy and the Service that it names may come in one request', async (t) => {
  const controller = await TestController.start(t);
  const service = 'apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {ports: [{port: 80}]}\n';
  const policy = OUT.replace('hosts: [api.example.com]', 'services: [db]');
  type Reply = { results: { warnings: { reason: string }[] }[] };
  const reply = await controller.call<Reply>('POST', '/v1/apply?dryRun=true', `${policy}---\n${service}`);
  t.deepEqual(reply.body.results[0]?.warnings, []);
  const alone = await controller.call<Reply>('POST', '/v1/apply?dryRun=true', policy);
  t.like(alone.body.results[0]?.warnings[0], { reason: 'Service shop/db does not exist' });
});

test('a broken manifest is told in the status and keeps the last good version, over a restart, too', async (t) => {
  const controller = await TestController.start(t, { 'a.yaml': NS('shop') });
  writeFileSync(join(controller.root, 'manifests', 'a.yaml'), 'kind: [');
  interface Status {
    sources: { errors: { file: string; line: number; reason: string }[] }[];
  }
  const errors = async () => (await controller.call<Status>('GET', '/v1/status')).body.sources[0]?.errors ?? [];
  const live = async () =>
    (await controller.call<{ items: object[] }>('GET', '/v1/objects?kind=Namespace')).body.items.length;
  await until('the fault is told', async () => (await errors()).length === 1);
  t.regex((await errors())[0]?.reason ?? '', /malformed YAML/);
  t.is(await live(), 1);
  await controller.restart();
  t.is((await errors()).length, 1);
  t.is(await live(), 1);
});

test('the snapshot of a node is there to read, and the log level to change', async (t) => {
  const controller = await TestController.start(t);
  t.like((await controller.call('GET', '/v1/snapshot?node=node-1')).body, { workloads: {}, services: {} });
  t.deepEqual((await controller.call('PUT', '/v1/log-level?level=fatal')).body, { level: 'fatal' });
  t.deepEqual((await controller.call('GET', '/v1/log-level')).body, { level: 'fatal' });
  t.is((await controller.call('PUT', '/v1/log-level', '{"level": "loud"}')).status, 400);
  t.is((await controller.call('GET', '/v1/nothing')).status, 404);
  t.is((await controller.call('POST', '/v1/apply?layer=other', NS('x'))).status, 400);
});
