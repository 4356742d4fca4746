import test from 'ava';
import { MARK } from '../../../../agent/model/datapath.ts';
import { EMPTY_SNAPSHOT } from '../../../../agent/model/snapshot.ts';
import {
  accepted,
  denyAll,
  localPod,
  PipelineBench,
  service,
  snapshot,
  workload,
} from '../../../support/agent-fakes.ts';

const KEY = 'shop/db.shop.svc.cluster.local';
const web = workload('web', '10.0.0.1');
const webPod = localPod('web', '10.0.0.1');
const dbService = service('db', '10.96.0.5', { 80: 8080 });
const db = (name: string, address: string, overrides = {}) =>
  workload(name, address, { services: new Map([[KEY, new Map([[80, 8080]])]]), ...overrides });

test('a connection to a Service on the same node goes out of the source pod with the DIRECT mark', (t) => {
  const bench = new PipelineBench(snapshot({ workloads: [web, db('db-1', '10.0.0.2')], services: [dbService] }));
  bench.pipeline.onConnection(accepted(webPod));
  const { options } = bench.sockets.connects[0] ?? t.fail();
  t.like(options, { netns: webPod.netns, to: { address: '10.0.0.2', port: 8080 }, from: null, mark: MARK.direct });
  const relay = bench.sockets.succeed();
  relay.sent = 10;
  relay.received = 20;
  relay.end('eof');
  t.regex(
    bench.lines[0] ?? '',
    /connection complete.*dst\.addr=10\.0\.0\.2:8080.*bytes_sent=20 bytes_recv=10.*attested=netns path=SameNode reason=ok\n$/,
  );
  const reporters = [...bench.observer.series.all()]
    .filter(({ closed }) => closed === 1)
    .map(({ labels }) => labels.reporter);
  t.deepEqual(reporters.sort(), ['destination', 'source']);
});

test('a connection to another node or outside carries no mark', (t) => {
  const bench = new PipelineBench(snapshot({ workloads: [web, workload('far', '10.0.1.2', { node: 'node-2' })] }));
  bench.pipeline.onConnection(accepted(webPod, { originalDestination: { address: '10.0.1.2', port: 80 } }));
  bench.pipeline.onConnection(accepted(webPod, { originalDestination: { address: '1.1.1.1', port: 80 } }));
  t.deepEqual(
    bench.sockets.connects.map(({ options }) => options.mark),
    [0, 0],
  );
  bench.sockets.succeed(0);
  bench.sockets.succeed(1);
  t.deepEqual(
    [...bench.observer.live].map(({ path }) => path),
    ['CrossNode', 'Passthrough'],
  );
});

test('an inbound connection reaches the app with the client own address and the TOAPP mark', (t) => {
  const far = workload('far', '10.0.1.2', { node: 'node-2' });
  const bench = new PipelineBench(snapshot({ workloads: [web, far] }));
  const inbound = { listener: 'inbound' as const, originalDestination: { address: '10.0.0.1', port: 8080 } };
  bench.pipeline.onConnection(accepted(webPod, { ...inbound, source: { address: '10.0.1.2', port: 5 } }));
  t.like(bench.sockets.connects[0]?.options, {
    to: { address: '10.0.0.1', port: 8080 },
    from: { address: '10.0.1.2', port: 0 },
    transparent: true,
    mark: MARK.toApp,
  });
  t.deepEqual(
    [...bench.observer.live].map(({ attestation }) => attestation),
    ['address'],
  );
});

test('an address of this node that arrives from the wire has no identity', (t) => {
  const bench = new PipelineBench(snapshot({ workloads: [web, workload('near', '10.0.0.3')] }));
  const inbound = { listener: 'inbound' as const, originalDestination: { address: '10.0.0.1', port: 8080 } };
  bench.pipeline.onConnection(accepted(webPod, { ...inbound, source: { address: '10.0.0.3', port: 5 } }));
  const [record] = bench.observer.live;
  t.is(record?.attestation, 'none');
  t.is(record?.facts.sourceIdentity, null);
});

test('a refusal resets the caller, and has a reason, a counter and a line', (t) => {
  const secured = db('db-1', '10.0.0.2', { policies: [{ name: 'shop/no', direction: 'Inbound', version: '1' }] });
  const bench = new PipelineBench(
    snapshot({ workloads: [web, secured], services: [dbService], policies: [denyAll('shop/no')] }),
  );
  bench.pipeline.onConnection(accepted(webPod));
  t.deepEqual(bench.sockets.closed, [{ fd: 50, reset: true }]);
  t.is(bench.sockets.connects.length, 0);
  t.is(bench.observer.refusals.get('policy_denied'), 1);
  t.is(bench.observer.live.size, 0);
  t.regex(bench.lines[0] ?? '', /warn\taccess\tconnection failed.*policy="shop\/no" reason=policy_denied/);
  const failed = [...bench.observer.series.all()].filter((series) => series.failed === 1);
  t.deepEqual(
    failed.map(({ labels }) => labels.response_flags),
    ['DENY', 'DENY'],
  );
});

test('before the first snapshot a connection is held, and decided by the snapshot that comes', (t) => {
  const bench = new PipelineBench(EMPTY_SNAPSHOT);
  bench.pipeline.onConnection(accepted(webPod, { originalDestination: { address: '1.1.1.1', port: 80 } }));
  t.is(bench.pipeline.held.size, 1);
  bench.clock.advance(4_000);
  bench.onSnapshot(snapshot({ workloads: [web] }));
  t.is(bench.pipeline.held.size, 0);
  t.is(bench.sockets.connects.length, 1);
});

test('a held connection is refused when its time is over, however often it was looked at again', (t) => {
  const bench = new PipelineBench(EMPTY_SNAPSHOT);
  bench.pipeline.onConnection(accepted(webPod));
  bench.clock.advance(3_000);
  bench.onSnapshot(snapshot({ workloads: [web], awaiting: [web.uid] }));
  t.is(bench.pipeline.held.size, 1);
  bench.clock.advance(1_999);
  t.is(bench.pipeline.held.size, 1);
  bench.clock.advance(1);
  t.is(bench.pipeline.held.size, 0);
  t.is(bench.observer.refusals.get('awaiting_policy'), 1);
  t.deepEqual(bench.sockets.closed, [{ fd: 50, reset: true }]);
});

test('a failed connect is tried again on another endpoint', (t) => {
  const bench = new PipelineBench(
    snapshot({ workloads: [web, db('a', '10.0.0.2'), db('b', '10.0.0.3')], services: [dbService] }),
  );
  bench.pipeline.onConnection(accepted(webPod));
  bench.sockets.fail('ECONNREFUSED');
  const tried = bench.sockets.connects.map(({ options }) => options.to.address);
  t.deepEqual(tried.toSorted(), ['10.0.0.2', '10.0.0.3']);
  bench.sockets.fail('ECONNREFUSED');
  t.is(bench.sockets.connects.length, 2);
  t.is(bench.observer.refusals.get('connect_failed'), 1);
  t.regex(bench.lines[0] ?? '', /error="connection to the upstream failed: ECONNREFUSED".*reason=connect_failed/);
  t.is(bench.pipeline.forwarder.pendingConnects, 0);
});

test('a connect to an address that was asked for itself is not tried elsewhere', (t) => {
  const bench = new PipelineBench(snapshot({ workloads: [web] }));
  bench.pipeline.onConnection(accepted(webPod, { originalDestination: { address: '1.1.1.1', port: 80 } }));
  bench.sockets.fail('ETIMEDOUT');
  t.is(bench.observer.refusals.get('connect_timeout'), 1);
});

test('each limit refuses and counts', (t) => {
  const open = { originalDestination: { address: '1.1.1.1', port: 80 } };
  const first = new PipelineBench(snapshot({ workloads: [web] }), { connectionsPerPod: 1 });
  first.pipeline.onConnection(accepted(webPod, open));
  first.pipeline.onConnection(accepted(webPod, { ...open, fd: 51 }));
  t.is(first.limitHits.get('connectionsPerPod'), 1);
  t.deepEqual(first.sockets.closed, [{ fd: 51, reset: true }]);
  t.is(first.pipeline.connectionsOf(webPod.uid), 1);

  const second = new PipelineBench(snapshot({ workloads: [web] }), { pendingConnects: 1, connectionsPerAgent: 5 });
  second.pipeline.onConnection(accepted(webPod, open));
  second.pipeline.onConnection(accepted(webPod, open));
  t.is(second.limitHits.get('pendingConnects'), 1);

  const third = new PipelineBench(EMPTY_SNAPSHOT, { heldConnections: 0 });
  third.pipeline.onConnection(accepted(webPod, open));
  t.is(third.limitHits.get('heldConnections'), 1);
  t.is(third.observer.live.size, 0);
});

test('what accept refuses is never judged', (t) => {
  const bench = new PipelineBench(snapshot({ workloads: [web] }));
  bench.pipeline.onConnection(accepted(webPod, { refusal: 'loop' }));
  t.is(bench.sockets.connects.length, 0);
  t.is(bench.observer.refusals.get('loop'), 1);
});

test('a relay that breaks is reported by the side that broke', (t) => {
  const bench = new PipelineBench(snapshot({ workloads: [web] }));
  const open = { originalDestination: { address: '1.1.1.1', port: 80 } };
  bench.pipeline.onConnection(accepted(webPod, open));
  bench.sockets.succeed().end('upstream', 'ECONNRESET');
  t.is(bench.observer.ends.get('reset_upstream'), 1);
  t.is(bench.pipeline.connectionsOf(webPod.uid), 0);
});
