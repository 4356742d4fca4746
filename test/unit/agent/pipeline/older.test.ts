import test from 'ava';
import type { Verdict } from '../../../../agent/model/connection.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../../../agent/model/snapshot.ts';
import { type OlderConnection, OlderConnections } from '../../../../agent/older.ts';
import { denyAll, FakeClock, localPod, snapshot, workload } from '../../../support/agent-fakes.ts';

const web = workload('web', '10.0.0.1');
const webPod = localPod('web', '10.0.0.1');
const inbound: OlderConnection = {
  local: { address: '10.0.0.1', port: 80 },
  remote: { address: '10.0.0.9', port: 5000 },
  direction: 'inbound',
};
const outbound: OlderConnection = { ...inbound, remote: { address: '10.0.0.2', port: 8080 }, direction: 'outbound' };

function setUp(connections: OlderConnection[], initial: Snapshot) {
  const clock = new FakeClock();
  const live = new Set(connections);
  const closed: Verdict[] = [];
  const older = new OlderConnections(
    {
      source: {
        olderConnections: () => [...live],
        judgeOlder: (_uid, judge) => {
          const doomed = [...live].filter((connection) => !judge(connection));
          for (const connection of doomed) live.delete(connection);
          return { kept: live.size, closed: doomed.length };
        },
      },
      holdTimeMs: 20,
      monotonicMs: clock.monotonicMs,
      onClosed: (_pod, _connection, verdict) => closed.push(verdict),
    },
    initial,
  );
  return { older, live, closed, clock };
}

test('what the policies of both ends permit goes on, and is shown as pre-enrolment', (t) => {
  const { older, live } = setUp([inbound, outbound], snapshot({ workloads: [web, workload('a', '10.0.0.2')] }));
  older.onEnrolled(webPod);
  t.is(live.size, 2);
  t.like(older.list()[1], {
    'src.addr': '10.0.0.1:80',
    'src.workload': 'web',
    'dst.workload': 'a',
    state: 'pre-enrolment',
  });
});

test("the destination's policy closes the source's connection when it comes", (t) => {
  const a = workload('a', '10.0.0.2');
  const { older, live, closed } = setUp([inbound, outbound], snapshot({ workloads: [web, a] }));
  older.onEnrolled(webPod);
  const secured = { ...a, policies: [{ name: 'shop/no', direction: 'Inbound' as const, version: '1' }] };
  older.onSnapshot(snapshot({ workloads: [web, secured], policies: [denyAll('shop/no')] }));
  t.deepEqual([...live], [inbound]);
  t.like(closed[0], { reason: 'policy_denied', policy: 'shop/no' });
  t.is(older.closed, 1);
});

test('what cannot be judged yet goes on for the hold time and no longer', async (t) => {
  const { older, live, clock } = setUp([inbound], EMPTY_SNAPSHOT);
  older.onEnrolled(webPod);
  t.is(live.size, 1);
  clock.advance(30);
  await new Promise((resolve) => setTimeout(resolve, 40));
  t.is(live.size, 0);
});

test('a pod that has left is not looked at any more', (t) => {
  const { older, live } = setUp([inbound], EMPTY_SNAPSHOT);
  older.onEnrolled(webPod);
  older.onUnenrolling(webPod);
  older.onSnapshot(snapshot({}));
  t.is(live.size, 1);
  t.deepEqual(older.list(), []);
});
