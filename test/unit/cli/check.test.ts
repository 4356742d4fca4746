import test from 'ava';
import type { FakeHandler } from '../../support/fake-api.ts';
import { aquifer, fakeMesh } from './run-verbs.ts';

const status = {
  version: 7,
  sources: [{ directory: '/manifests', files: 2, errors: [] }],
  agents: [{ node: 'node-1', connected: true, acked: 1, nacked: 0, lastError: null, snapshotVersion: 7 }],
  policies: 1,
  workloads: 3,
  services: 1,
};
const pods = [{ uid: 'u', namespace: 'shop', name: 'web', state: 'enrolled', reason: null, slot: 1, connections: 0 }];

function controller(over: object, policies: object[] = []): FakeHandler {
  return ({ path }) => ({ body: path.startsWith('/v1/status') ? { ...status, ...over } : { items: policies } });
}

test('check exits 0 when all is well', async (t) => {
  const mesh = await fakeMesh(t).controller(controller({}));
  await mesh.agent('node-1', () => ({ body: pods }));
  const ran = await aquifer(mesh, ['check']);
  t.is(ran.code, 0);
  t.is(
    ran.stdout,
    `ok    the controller answers: 3 workloads, 1 service, 1 policy
ok    /manifests: 2 files read
ok    the agent of node-1 is connected
ok    the agent of node-1 answers: 1 of 1 pod enrolled

all is well
`,
  );
});

test('check names an invalid manifest, an agent that is away, a policy not enforced and a pod not enrolled', async (t) => {
  const errors = [{ file: 'p.yaml', line: 4, field: 'spec.action', reason: 'must be Allow or Deny' }];
  const enforced = { type: 'Enforced', status: 'False', reason: 'Partial', message: 'in force on 0 of 1 nodes' };
  const policy = {
    apiVersion: 'aquifer.dev/v1alpha1',
    kind: 'L4Policy',
    metadata: { name: 'p', namespace: 'shop' },
    status: { conditions: [enforced] },
  };
  const over = {
    sources: [{ directory: '/manifests', files: 2, errors }],
    agents: [{ node: 'node-1', connected: false }],
  };
  const mesh = await fakeMesh(t).controller(controller(over, [policy]));
  await mesh.agent('node-1', () => ({ body: [{ ...pods[0], state: 'failed', reason: 'no cgroup' }] }));
  const ran = await aquifer(mesh, ['check']);
  t.is(ran.code, 1);
  t.regex(ran.stdout, /FAIL {2}p\.yaml:4: spec\.action: must be Allow or Deny\n/);
  t.regex(
    ran.stdout,
    /FAIL {2}the agent of node-1 is not connected to the controller\n {6}aquifer lab logs agent\/node-1/,
  );
  t.regex(ran.stdout, /FAIL {2}L4Policy shop\/p is not Enforced: in force on 0 of 1 nodes\n/);
  t.regex(ran.stdout, /FAIL {2}shop\/web: could not be enrolled: no cgroup\n/);
  t.regex(ran.stdout, /\n4 problems\n$/);
});

test('check goes on when one of those it asks does not answer', async (t) => {
  const mesh = await fakeMesh(t).agent('node-1', () => ({ body: pods }));
  const ran = await aquifer(mesh, ['check']);
  t.is(ran.code, 1);
  t.regex(ran.stdout, /FAIL {2}the controller does not answer/);
  t.regex(ran.stdout, /ok {4}the agent of node-1 answers/);
});

test('check puts pods of which the agent says the same on one line', async (t) => {
  const mesh = await fakeMesh(t).controller(controller({}));
  const reason = 'can send past the capture: has CAP_NET_RAW';
  await mesh.agent('node-1', () => ({ body: ['a', 'b'].map((name) => ({ ...pods[0], name, reason })) }));
  const ran = await aquifer(mesh, ['check']);
  t.is(ran.code, 0);
  t.regex(ran.stdout, /warn {2}shop\/a, shop\/b: can send past the capture: has CAP_NET_RAW\n/);
  t.regex(ran.stdout, /\nno problem, 1 warning\n$/);
});
