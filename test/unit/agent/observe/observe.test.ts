import test from 'ava';
import { JsonAccessLog } from '../../../../agent/observe/access-log.ts';
import { FlowStream } from '../../../../agent/observe/flows.ts';
import { Interner } from '../../../../agent/observe/interner.ts';
import { buildRegistry } from '../../../../agent/observe/metrics.ts';
import { RateLimit } from '../../../../agent/observe/rate-limit.ts';
import { SERIES_LABELS, SeriesTable } from '../../../../agent/observe/series.ts';
import { accepted, localPod, PipelineBench, service, snapshot, workload } from '../../../support/agent-fakes.ts';

const web = workload('web', '10.0.0.1');
const webPod = localPod('web', '10.0.0.1');
const db = workload('db', '10.0.0.2', {
  services: new Map([['shop/db.shop.svc.cluster.local', new Map([[80, 8080]])]]),
});
const world = () => snapshot({ workloads: [web, db], services: [service('db', '10.96.0.5', { 80: 8080 })] });

function registryOf(bench: PipelineBench) {
  return buildRegistry({
    observer: bench.observer,
    limitHits: bench.limitHits,
    kernelVerdicts: () => ({ AQ_DROP_LINK_LOCAL: 3 }),
    gauges: [{ name: 'aquifer_connections_live', help: 'Live.', read: () => bench.observer.live.size }],
    counters: [],
  });
}

test('one same-node connection shows at both reporters, with the labels that the dashboards read', async (t) => {
  const bench = new PipelineBench(world());
  bench.pipeline.onConnection(accepted(webPod));
  const relay = bench.sockets.succeed();
  relay.sent = 5;
  relay.received = 7;
  const text = await registryOf(bench).metrics();
  const opened = text.split('\n').filter((line) => line.startsWith('istio_tcp_connections_opened_total{'));
  t.is(opened.length, 2);
  for (const label of SERIES_LABELS) t.true(opened[0]?.includes(`${label}="`), label);
  t.regex(opened[0] ?? '', /source_principal="spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web"/);
  t.regex(
    opened[0] ?? '',
    /destination_service="db\.shop\.svc\.cluster\.local",destination_service_namespace="shop",destination_service_name="db"/,
  );
  t.regex(opened[0] ?? '', /request_protocol="tcp",response_flags="-",connection_security_policy="unknown"/);
  t.regex(text, /istio_tcp_received_bytes_total\{.*\} 5\n/);
  t.regex(text, /istio_tcp_sent_bytes_total\{.*\} 7\n/);
  t.regex(text, /aquifer_kernel_verdicts_total\{reason="AQ_DROP_LINK_LOCAL"\} 3/);
  t.regex(text, /aquifer_connections_live 1/);
});

test('bytes of a long connection are counted as they flow, and once', async (t) => {
  const bench = new PipelineBench(world());
  const registry = registryOf(bench);
  bench.pipeline.onConnection(accepted(webPod));
  const relay = bench.sockets.succeed();
  relay.sent = 5;
  await registry.metrics();
  relay.sent = 9;
  await registry.metrics();
  relay.end('eof');
  t.regex(await registry.metrics(), /istio_tcp_received_bytes_total\{.*\} 9\n/);
});

test('pods of one Deployment share a series', (t) => {
  const table = new SeriesTable(100, () => t.fail());
  const one = workload('web-1', '10.0.0.1', { workloadName: 'web', canonicalName: 'web' });
  const two = { ...one, name: 'web-2', uid: 'other' };
  t.is(
    table.find('source', one, false, null, false, null, '-'),
    table.find('source', two, false, null, false, null, '-'),
  );
  t.not(
    table.find('source', one, true, null, false, null, '-'),
    table.find('source', one, false, null, false, null, '-'),
  );
});

test('beyond the limit label sets are one, counted set', (t) => {
  let hits = 0;
  const table = new SeriesTable(2, () => hits++);
  const find = (name: string) => table.find('source', workload(name, '10.0.0.1'), false, null, false, null, '-');
  find('a');
  find('b');
  const overflow = find('c');
  t.is(overflow, find('d'));
  t.is(overflow.labels.source_workload, 'overflow');
  t.is(hits, 2);
  t.is([...table.all()].length, 3);
});

test('an interner that is full shares its last number', (t) => {
  const interner = new Interner<{ name: string }>(3, (value) => ({ name: value?.name ?? '' }));
  t.deepEqual(
    [null, { name: 'a' }, { name: 'b' }, { name: 'c' }].map((value) => interner.id(value)),
    [0, 1, 2, 2],
  );
});

test("the text line has ztunnel's fields in ztunnel's order, then ours", (t) => {
  const bench = new PipelineBench(world());
  bench.pipeline.onConnection(accepted(webPod));
  bench.clock.advance(12);
  bench.sockets.succeed().end('eof');
  t.is(
    bench.lines[0],
    '2024-01-01T00:00:01.012Z\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.1:40000 src.workload="web" src.namespace="shop" ' +
      'src.identity="spiffe://cluster.local/ns/shop/sa/web" src.cluster="Kubernetes" dst.addr=10.0.0.2:8080 ' +
      'dst.service="db.shop.svc.cluster.local" dst.workload="db" dst.namespace="shop" ' +
      'dst.identity="spiffe://cluster.local/ns/shop/sa/db" dst.cluster="Kubernetes" direction="outbound" bytes_sent=0 bytes_recv=0 ' +
      'duration="12ms" attested=netns path=SameNode reason=ok\n',
  );
});

test('the JSON line carries the same fields', (t) => {
  const bench = new PipelineBench(world());
  const lines: string[] = [];
  const log = new JsonAccessLog({ write: (text) => lines.push(text) });
  bench.pipeline.onConnection(accepted(webPod));
  bench.sockets.succeed();
  for (const record of bench.observer.live) log.write(record, bench.clock.wallMs(), 12, 1, 2);
  t.like(JSON.parse(lines[0] ?? ''), {
    scope: 'access',
    'src.workload': 'web',
    'dst.addr': '10.0.0.2:8080',
    bytes_sent: 1,
    bytes_recv: 2,
    attested: 'netns',
  });
});

test('a record that ends twice is a broken invariant', (t) => {
  const bench = new PipelineBench(world());
  bench.pipeline.onConnection(accepted(webPod));
  const [record] = bench.observer.live;
  bench.sockets.succeed().end('eof');
  t.throws(() => record && bench.observer.finish(record, 'ok', ''), { message: /ends once/ });
});

test('flows are told of opens, ends and refusals; a slow reader loses lines, counted', (t) => {
  const bench = new PipelineBench(world(), { flowQueueBytes: 4_096, flowSubscribers: 1 });
  const lines: string[] = [];
  let queued = 0;
  const subscriber = { write: (line: string) => lines.push(line), queuedBytes: () => queued };
  t.true(bench.flows.subscribe(subscriber));
  t.false(bench.flows.subscribe({ ...subscriber }));
  bench.pipeline.onConnection(accepted(webPod));
  bench.sockets.succeed().end('eof');
  bench.pipeline.onConnection(accepted(webPod, { refusal: 'loop' }));
  t.deepEqual(
    lines.map((line) => JSON.parse(line).event),
    ['open', 'end', 'refused'],
  );
  queued = 4_096;
  bench.pipeline.onConnection(accepted(webPod, { refusal: 'loop' }));
  t.is(lines.length, 3);
  t.is(bench.limitHits.get('flowQueueBytes'), 1);
  t.is(bench.limitHits.get('flowSubscribers'), 1);
});

test('an idle flow stream is not active', (t) => {
  t.false(new FlowStream({ flowSubscribers: 1, flowQueueBytes: 1 }, () => {}).active);
});

test('a rate limit lets so many through in a second and says how many it held back', (t) => {
  const limit = new RateLimit(2);
  t.deepEqual(
    [1, 2, 3, 4].map((ms) => limit.admit(ms)),
    [true, true, false, false],
  );
  t.true(limit.admit(1_000));
  t.is(limit.takeSuppressed(), 2);
  t.is(limit.takeSuppressed(), 0);
});
