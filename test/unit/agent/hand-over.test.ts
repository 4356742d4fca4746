import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Drain } from '../../../agent/drain.ts';
import type { Enrolment } from '../../../agent/enrolment/enrolment.ts';
import { Predecessor } from '../../../agent/hand-over.ts';
import { accepted, localPod, PipelineBench, snapshot, workload } from '../../support/agent-fakes.ts';

function setUp(drainAcceptGraceMs = 0) {
  const bench = new PipelineBench(snapshot({ workloads: [workload('web', '10.0.0.1')] }));
  const open = accepted(localPod('web', '10.0.0.1'), { originalDestination: { address: '1.1.1.1', port: 80 } });
  bench.pipeline.onConnection(open);
  const relay = bench.sockets.succeed();
  const events: string[] = [];
  const done = new Promise<void>((resolve) => {
    const enrolment = { freeze: () => events.push('freeze'), closeListeners: () => events.push('close') };
    const drain = new Drain({
      enrolment: enrolment as unknown as Enrolment,
      reviewer: bench.reviewer,
      live: bench.observer.live,
      limits: { drainDeadlineMs: 100, drainAcceptGraceMs },
      log: () => {},
      onDone: () => {
        events.push('done');
        resolve();
      },
    });
    Object.assign(bench, { drain });
  });
  return { bench, relay, events, done, drain: (bench as unknown as { drain: Drain }).drain };
}

test('a drain ends when the last connection does', async (t) => {
  const { relay, events, done, drain, bench } = setUp();
  drain.start(60_000, false);
  setTimeout(() => relay.end('eof'), 20);
  await done;
  t.deepEqual(events, ['freeze', 'close', 'close', 'done']);
  t.is(bench.observer.ends.get('ok'), 1);
});

test('a drain resets what is left at its deadline, with a reason', async (t) => {
  const { events, done, drain, bench } = setUp();
  drain.start(null, false);
  await done;
  t.is(events.at(-1), 'done');
  t.is(bench.observer.ends.get('drain'), 1);
  t.true(drain.active);
});

test('after a hand-over listeners stay open for handshakes under way', async (t) => {
  const { relay, events, done, drain } = setUp(40);
  drain.start(60_000, true);
  relay.end('eof');
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.deepEqual(events, ['freeze']);
  await done;
  t.true(events.includes('close'));
});

test('a predecessor is found at its socket and told over the connection that was opened before the socket moved', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'aq-hand-over-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'agent.sock');
  t.is(await Predecessor.find(path), null);
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(202).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
  const predecessor = await Predecessor.find(path);
  rmSync(path);
  await predecessor?.drain();
  t.deepEqual(asked, ['POST /drain']);
});
