import test from 'ava';
import { flowLine, flowMatches, verdictOf } from '../../../controller/cli/flow-line.ts';
import { PLAIN } from '../../../controller/cli/palette.ts';
import { FLOW } from '../../../controller/cli/responses.ts';
import { aquifer, fakeMesh } from './run-verbs.ts';

const refused = {
  event: 'refused',
  time: '2026-01-02T03:04:05.678Z',
  direction: 'outbound',
  'src.addr': '10.244.1.5:40000',
  'src.workload': 'cart',
  'src.namespace': 'shop',
  'dst.addr': '10.244.2.5:5432',
  'dst.service': 'db.shop.svc.cluster.local',
  'dst.workload': 'db',
  'dst.namespace': 'data',
  path: 'SameNode',
  attested: 'netns',
  policy: 'data/db-callers',
  reason: 'policy_not_allowed',
  error: 'x',
  duration: '0ms',
  bytes_sent: 0,
  bytes_recv: 0,
};
const ended = {
  ...refused,
  event: 'end',
  reason: 'ok',
  policy: null,
  duration: '12ms',
  bytes_sent: 1,
  bytes_recv: 200,
};
const outside = { ...ended, event: 'open', 'dst.workload': null, 'dst.namespace': null, 'dst.service': null };

test('observe shows a refused connection with its policy and reason', (t) => {
  t.is(
    flowLine(FLOW.parse(refused), 'node-1', PLAIN),
    '03:04:05.678  node-1  DENIED  shop/cart → db.shop.svc.cluster.local (data/db:5432)' +
      '  SameNode attested=netns policy=data/db-callers reason=policy_not_allowed\n',
  );
});

test('observe shows what a connection carried when it ends, and addresses where there is no workload', (t) => {
  t.regex(flowLine(FLOW.parse(ended), 'node-1', PLAIN), / end +shop\/cart .* 12ms 200 bytes up, 1 byte down\n$/);
  t.regex(flowLine(FLOW.parse(outside), 'node-1', PLAIN), / open +shop\/cart → 10\.244\.2\.5:5432 /);
});

test('observe filters by the namespace and pod of either end, and by verdict', (t) => {
  const flow = FLOW.parse(refused);
  const all = { namespace: null, pod: null, verdict: 'any' } as const;
  t.true(flowMatches(flow, all));
  t.true(flowMatches(flow, { ...all, namespace: 'data' }));
  t.false(flowMatches(flow, { ...all, namespace: 'other' }));
  t.true(flowMatches(flow, { ...all, pod: 'cart' }));
  t.true(flowMatches(flow, { ...all, pod: 'data/db' }));
  t.false(flowMatches(flow, { ...all, pod: 'shop/db' }));
  t.true(flowMatches(flow, { ...all, verdict: 'denied' }));
  t.false(flowMatches(flow, { ...all, verdict: 'allowed' }));
});

test('observe counts a connection closed by a policy change as denied, and a reset as allowed', (t) => {
  t.is(verdictOf(FLOW.parse({ ...ended, reason: 'policy_changed' })), 'denied');
  t.is(verdictOf(FLOW.parse({ ...ended, reason: 'reset_upstream' })), 'allowed');
});

test('observe follows every agent and prints JSON lines with the node', async (t) => {
  const mesh = await fakeMesh(t).agent('node-1', () => ({ body: `${JSON.stringify(refused)}\n` }));
  await mesh.agent('node-2', () => ({ body: `${JSON.stringify(ended)}\n` }));
  const ran = await aquifer(mesh, ['observe', '-o', 'json']);
  t.is(ran.code, 0);
  const lines = ran.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.deepEqual(
    new Set(lines.map(({ node, verdict }) => `${node} ${verdict}`)),
    new Set(['node-1 denied', 'node-2 allowed']),
  );
  const denied = await aquifer(mesh, ['observe', '--verdict', 'denied']);
  t.is(denied.stdout.trim().split('\n').length, 1);
});
