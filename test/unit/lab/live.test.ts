import test from 'ava';
import { type FlowRecord, FlowTable } from '../../../deploy/lab/ui/flows.ts';
import { bytes, shorten, table } from '../../../deploy/lab/ui/style.ts';

const open: FlowRecord = {
  event: 'open',
  'src.namespace': 'shop',
  'src.workload': 'web-2jmmw4ab5-sc58p',
  'dst.service': 'cart.shop.svc.cluster.local',
  'dst.addr': '10.244.1.2:8080',
  'original.addr': '10.96.0.11:80',
  direction: 'outbound',
  path: 'SameNode',
  attested: 'netns',
  reason: 'ok',
};

test('connections of one pair are one row with their rate and bytes', (t) => {
  const flows = new FlowTable();
  t.true(flows.add(open, 1_000)?.fresh);
  t.false(flows.add({ ...open, 'src.workload': 'web-2jmmw4ab5-other' }, 1_100)?.fresh);
  flows.add({ ...open, event: 'end', bytes_sent: 10, bytes_recv: 5 }, 1_200);
  const [row] = flows.rows(1_300);
  t.like(row, {
    source: 'shop/web',
    destination: 'shop/cart:80',
    connections: 2,
    open: 1,
    bytes: 15,
    verdict: 'allowed',
  });
  t.true((row?.perSecond ?? 0) > 0);
  t.is(flows.rows(60_000)[0]?.perSecond, 0);
});

test('a refusal is a row of its own and names its policy', (t) => {
  const flows = new FlowTable();
  flows.add(open, 0);
  flows.add({ ...open, event: 'refused', reason: 'policy_denied', policy: 'shop/no-web' }, 0);
  t.deepEqual(
    flows.rows(0).map((row) => [row.verdict, row.why]),
    [
      ['allowed', ''],
      ['denied', 'shop/no-web'],
    ],
  );
});

test('a connection that failed is not called denied', (t) => {
  const flows = new FlowTable();
  flows.add({ ...open, event: 'refused', reason: 'connect_failed' }, 0);
  t.is(flows.rows(0)[0]?.verdict, 'failed');
});

test('the two halves of a connection between nodes are one row, judged at the far end', (t) => {
  const flows = new FlowTable();
  const near = { ...open, path: 'CrossNode' };
  const far = { ...open, path: 'ToApp', direction: 'inbound', attested: 'address', 'original.addr': '10.244.1.2:8080' };
  flows.add(near, 0);
  t.is(flows.add(far, 0), null);
  t.deepEqual(
    flows.rows(0).map((row) => [row.path, row.attested, row.verdict]),
    [['cross node', 'address', 'allowed']],
  );
  flows.add(near, 10);
  flows.add({ ...far, event: 'refused', reason: 'policy_denied', policy: 'shop/no' }, 11);
  t.deepEqual(
    flows.rows(12).map((row) => [row.path, row.verdict, row.why]),
    [['cross node', 'denied', 'shop/no']],
  );
});

test('a table keeps to its width by cutting the flexible columns', (t) => {
  const lines = table(
    [
      { title: 'A', flexible: true },
      { title: 'N', right: true },
    ],
    [['x'.repeat(60), '1']],
    30,
  );
  t.true(lines.every((line) => line.length <= 30));
  t.true(lines[1]?.includes('…'));
});

test('numbers are short', (t) => {
  t.deepEqual([0, 999, 1_000, 12_345, 1e9].map(bytes), ['0 B', '999 B', '1.00 kB', '12.3 kB', '1.00 GB']);
  t.is(shorten('abcdef', 4), 'abc…');
});
