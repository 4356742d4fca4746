import test from 'ava';
import { aquifer, fakeMesh } from './run-verbs.ts';

const policy = {
  apiVersion: 'aquifer.dev/v1alpha1',
  kind: 'L4Policy',
  metadata: { name: 'db-callers', namespace: 'shop' },
  spec: { action: 'Allow' },
  status: {
    conditions: [
      { type: 'Accepted', status: 'True', reason: 'Accepted', message: '' },
      { type: 'Enforced', status: 'False', reason: 'Partial', message: 'in force on 1 of 2 nodes' },
    ],
  },
};

test('get shows policies with their conditions in aligned columns', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { items: [policy] } }));
  const ran = await aquifer(mesh, ['get', 'l4p', '-A']);
  t.is(ran.code, 0);
  t.is(
    ran.stdout,
    'NAMESPACE   NAME         DIRECTION   ACTION   MODE      ACCEPTED   ENFORCED\n' +
      'shop        db-callers   Inbound     Allow    Enforce   True       False (1/2)\n',
  );
  t.is(mesh.requests[0]?.path, '/v1/objects?kind=L4Policy');
});

test('get of one object explains its conditions', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { items: [policy] } }));
  const ran = await aquifer(mesh, ['get', 'l4policy', 'db-callers', '-n', 'shop']);
  t.is(mesh.requests[0]?.path, '/v1/objects?kind=L4Policy&namespace=shop&name=db-callers');
  t.regex(ran.stdout, /\nEnforced +False +Partial +in force on 1 of 2 nodes\n/);
});

test('get -o yaml and json print the object itself', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { items: [policy] } }));
  const yaml = await aquifer(mesh, ['get', 'l4p', 'db-callers', '-o', 'yaml']);
  t.regex(yaml.stdout, /^apiVersion: aquifer\.dev\/v1alpha1\nkind: L4Policy/);
  const json = await aquifer(mesh, ['get', 'l4p', '-o', 'json']);
  t.deepEqual(JSON.parse(json.stdout), { kind: 'List', items: [policy] });
});

test('get knows plurals, short names and any case, and names the nearest kind', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { items: [] } }));
  for (const word of ['pods', 'po', 'Pod', 'POD']) await aquifer(mesh, ['get', word]);
  t.deepEqual([...new Set(mesh.requests.map(({ path }) => path))], ['/v1/objects?kind=Pod&namespace=default']);
  const ran = await aquifer(mesh, ['get', 'l4polcy']);
  t.is(ran.code, 2);
  t.regex(ran.stderr, /"l4polcy" is not a kind\n {2}did you mean "l4policy"\?/);
});

test('get of what does not exist exits 1 and tells where it looked', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { items: [] } }));
  const ran = await aquifer(mesh, ['get', 'pod', 'web']);
  t.is(ran.code, 1);
  t.regex(ran.stderr, /Pod "web" does not exist in namespace default\n {2}aquifer get pod -A/);
  t.is((await aquifer(mesh, ['get', 'pods'])).code, 0);
});
