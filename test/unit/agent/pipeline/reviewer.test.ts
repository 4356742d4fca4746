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
  t.deepEqual(bench.sockets.told, ['cut', 'reset']);
  t.is(bench.observer.live.size, 1);
  t.regex(bench.lines[0] ?? '', /error="connection closed due to policy change: shop\/no".*reason=policy_changed/);
});

test('of forbidden connections all clients are told before the first server is', (t) => {
  const a = workload('a', '10.0.0.2');
  const bench = new PipelineBench(snapshot({ workloads: [web, a] }));
  open(bench, ['10.0.0.2', '10.0.0.2']);
  bench.onSnapshot(snapshot({ workloads: [web, secure(a)], policies: [denyAll('shop/no')] }));
  t.deepEqual(bench.sockets.told, ['cut', 'cut', 'reset', 'reset']);
  t.deepEqual(reasons(bench), { policy_changed: 2 });
});

test('connections that rest on the same facts share them from their first review on, each with its own verdict', (t) => {
  const [a, b] = [workload('a', '10.0.0.2'), workload('b', '10.0.0.3')];
  const bench = new PipelineBench(snapshot({ workloads: [web, a, b] }));
  open(bench, ['10.0.0.2', '10.0.0.3', '10.0.0.2', '10.0.0.3']);
  bench.onSnapshot(snapshot({ workloads: [web, { ...a }, { ...b }] }));
  const facts = [...bench.observer.live].map((record) => record.facts);
  t.is(new Set(facts).size, 2);
  t.is(facts[0], facts[2]);
  bench.onSnapshot(snapshot({ workloads: [web, a, secure(b)], policies: [denyAll('shop/no')] }));
  t.deepEqual(
    [...bench.observer.live].map((record) => record.facts.destination?.name),
    ['a', 'a'],
  );
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
