import test from 'ava';
import type { Snapshot } from '../../../../agent/model/snapshot.ts';
import type { Workload } from '../../../../agent/model/workload.ts';
import { accepted, denyAll, localPod, PipelineBench, snapshot, workload } from '../../../support/agent-fakes.ts';

const web = workload('web', '10.0.0.1');
const webPod = localPod('web', '10.0.0.1');
const to = (address: string) => accepted(webPod, { originalDestination: { address, port: 8080 } });
const secure = (of: Workload): Workload => ({
  ...of,
  policies: [{ name: 'shop/no', direction: 'Inbound', version: '1' }],
});

function open(bench: PipelineBench, addresses: string[]): void {
  for (const address of addresses) {
    bench.pipeline.onConnection(to(address));
    bench.sockets.succeed();
  }
}

function reasons(bench: PipelineBench): Record<string, number> {
  return Object.fromEntries(bench.observer.ends.entries());
}

test('a new policy closes exactly the connections that it forbids', (t) => {
  const [a, b] = [workload('a', '10.0.0.2'), workload('b', '10.0.0.3')];
  const bench = new PipelineBench(snapshot({ workloads: [web, a, b] }));
  open(bench, ['10.0.0.2', '10.0.0.3']);
  bench.onSnapshot(snapshot({ workloads: [web, secure(a), b], policies: [denyAll('shop/no')] }));
  t.deepEqual(reasons(bench), { policy_changed: 1 });
  t.deepEqual(bench.sockets.closed, [
    { fd: 50, reset: true },
    { fd: 100, reset: true },
  ]);
  t.is(bench.observer.live.size, 1);
  t.regex(bench.lines[0] ?? '', /error="connection closed due to policy change: shop\/no".*reason=policy_changed/);
});

test('forbidden connections are all stopped before the first is told, clients before servers', (t) => {
  const a = workload('a', '10.0.0.2');
  const bench = new PipelineBench(snapshot({ workloads: [web, a] }));
  open(bench, ['10.0.0.2', '10.0.0.2', '10.0.0.2']);
  for (const relay of bench.sockets.relays.slice(2)) relay.holds = true;
  bench.onSnapshot(snapshot({ workloads: [web, secure(a)], policies: [denyAll('shop/no')] }));
  t.deepEqual(
    bench.sockets.closed.map(({ fd }) => fd),
    [50, 50, 100, 100],
  );
  t.is(bench.sockets.relays[2]?.closedHow, 'reset');
  t.deepEqual(reasons(bench), { policy_changed: 3 });
});

test('a connect under way is judged again too', (t) => {
  const a = workload('a', '10.0.0.2');
  const bench = new PipelineBench(snapshot({ workloads: [web, a] }));
  bench.pipeline.onConnection(to('10.0.0.2'));
  bench.onSnapshot(snapshot({ workloads: [web, secure(a)], policies: [denyAll('shop/no')] }));
  t.true(bench.sockets.connects[0]?.cancelled);
  t.is(bench.observer.refusals.get('policy_changed'), 1);
  t.is(bench.pipeline.forwarder.pendingConnects, 0);
});

test('a removed endpoint, and another pod at its address, close the connection', (t) => {
  const [a, b] = [workload('a', '10.0.0.2'), workload('b', '10.0.0.3')];
  const bench = new PipelineBench(snapshot({ workloads: [web, a, b] }));
  open(bench, ['10.0.0.2', '10.0.0.3']);
  bench.onSnapshot(snapshot({ workloads: [web, { ...b, podUid: 'another' }] }));
  t.deepEqual(reasons(bench), { endpoint_removed: 2 });
});

test('a newer policy that has not arrived closes nothing', (t) => {
  const a = workload('a', '10.0.0.2');
  const bench = new PipelineBench(snapshot({ workloads: [web, a] }));
  open(bench, ['10.0.0.2']);
  bench.onSnapshot(snapshot({ workloads: [web, secure(a)], awaiting: [a.uid] }));
  t.is(bench.observer.live.size, 1);
});

test('a review goes on after the loop has turned, and gives way to a newer snapshot', (t) => {
  const a = workload('a', '10.0.0.2');
  const bench = new PipelineBench(snapshot({ workloads: [web, a] }), { reevaluationBatchConnections: 2 });
  open(
    bench,
    Array.from({ length: 5 }, () => '10.0.0.2'),
  );
  const denied = (): Snapshot => snapshot({ workloads: [web, secure(a)], policies: [denyAll('shop/no')] });
  bench.onSnapshot(denied());
  t.is(bench.observer.live.size, 3);
  bench.onSnapshot(denied());
  t.is(bench.observer.live.size, 1);
  for (const callback of bench.later.splice(0)) callback();
  t.is(bench.observer.live.size, 0);
  t.is(bench.reviewer.rounds, 1);
});

test('5,000 live connections are reviewed well within 100 ms', (t) => {
  const a = workload('a', '10.0.0.2');
  const bench = new PipelineBench(snapshot({ workloads: [web, a] }));
  open(
    bench,
    Array.from({ length: 5_000 }, () => '10.0.0.2'),
  );
  const next = snapshot({ workloads: [web, { ...a }], policies: [denyAll('shop/no')] });
  const started = performance.now();
  bench.onSnapshot(next);
  const took = performance.now() - started;
  t.is(bench.reviewer.reviewed, 5_000);
  t.log(`${((took / 5_000) * 1000).toFixed(2)} µs for each`);
  t.true(took < 100, `${took} ms`);
});
