/** Limits that are reached: a refusal or an end with a reason, a counter, and everybody else goes on. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { eventually, until } from '../../support/eventually.ts';
import { Held } from '../../support/held.ts';
import { Lab, run } from '../../support/lab.ts';
import { ambient, echo, namespace, pod, program, service, yaml } from '../../support/manifests.ts';

const CONNECTIONS_PER_POD = 30;
const SERIES = 16;
const SERVICES = 20;

let lab: Lab;
let directory: string;
/** The access log of both agents is a pipe, so that its reader can be slow. Open both ways: no open waits for the other. */
let pipe: number;
let lines = '';

test.before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'aquifer-log-'));
  const log = join(directory, 'access.log');
  execFileSync('mkfifo', [log]);
  pipe = openSync(log, constants.O_RDWR | constants.O_NONBLOCK);
  const services = Array.from({ length: SERVICES }, (_, i) =>
    service('shop', `s${i}`, [{ port: 80, targetPort: 8080 }], { selector: { app: 'near' } }),
  );
  const set = {
    'accessLog.file': log,
    'limits.logQueueBytes': 4_096,
    'limits.connectionsPerPod': CONNECTIONS_PER_POD,
    'limits.metricSeries': SERIES,
    'limits.keepaliveTimeMs': 1_000,
    'limits.keepaliveIntervalMs': 1_000,
    'limits.keepaliveProbes': 2,
    'limits.drainDeadlineMs': 1_500,
    'limits.drainAcceptGraceMs': 100,
  };
  lab = await Lab.up(
    'limits',
    yaml(
      ambient('shop'),
      namespace('plain'),
      pod('shop', 'client', { node: 'node-1' }),
      pod('shop', 'other', { node: 'node-1' }),
      pod('shop', 'near', { node: 'node-1', ...echo(8080) }),
      pod('shop', 'far', { node: 'node-2', ...echo(8080) }),
      pod('plain', 'outside', { node: 'node-2', ...echo(8080) }),
      pod('plain', 'stranger', { node: 'node-2' }),
      ...services,
    ),
    Object.entries(set).flatMap(([name, value]) => ['--set', `agent.${name}=${value}`]),
  );
});

test.after.always(async () => {
  // An agent that ends writes out its log first.
  const reading = setInterval(readLog, 20);
  await lab?.down();
  clearInterval(reading);
  closeSync(pipe);
  rmSync(directory, { recursive: true, force: true });
});

function readLog(): string {
  const chunk = Buffer.alloc(65_536);
  for (;;) {
    try {
      lines += chunk.toString('utf8', 0, readSync(pipe, chunk));
    } catch {
      return lines;
    }
  }
}

async function load(from: string, host: string, port: number, seconds: number) {
  const ran = await lab.exec(from, program('caller', host, port, seconds, 4));
  return JSON.parse(ran.stdout) as { calls: number; failures: number };
}

function value(metrics: string, name: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith(name))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

async function metric(node: string, name: string): Promise<number> {
  return value(await lab.metrics(node), name);
}

/** The pod's cable is pulled: it vanishes without a word. */
async function vanish(inNamespace: string, name: string): Promise<void> {
  const netns = `aq-${lab.name}-${inNamespace}-${name}`;
  const ran = await run('ip', ['-n', netns, 'link', 'set', 'eth0', 'down']);
  if (ran.code !== 0) throw new Error(ran.stderr);
}

test.serial('an access log whose reader stalls loses lines, counted, and no connection waits for it', async (t) => {
  const dropped = 'aquifer_limit_hits_total{limit="logQueueBytes"}';
  let calls = 0;
  await until('lines are dropped', async () => {
    const result = await load('shop/client', await lab.address('shop', 'near'), 8080, 0.5);
    calls += result.calls;
    t.is(result.failures, 0);
    return (await metric('node-1', dropped)) > 0;
  });
  t.true(calls > 50, `${calls} calls`);
  readLog();
  await until('lines come again', async () => {
    const before = lines.length;
    await load('shop/other', await lab.address('shop', 'near'), 8080, 0.1);
    return readLog().length > before;
  });
});

test.serial(
  'a pod with as many connections as it may have is refused more, with a reason; others are not',
  async (t) => {
    const address = await lab.address('shop', 'near');
    const held = await Held.open(lab, 'shop/client', address, 8080, CONNECTIONS_PER_POD);
    try {
      const more = JSON.parse((await lab.exec('shop/client', program('caller', address, 8080, 0.1))).stdout);
      t.is(more.failures, more.calls);
      t.deepEqual(Object.keys(more.errors), ['ECONNRESET']);
      t.is((await load('shop/other', address, 8080, 0.2)).failures, 0);
      t.is(await held.ping(), CONNECTIONS_PER_POD);
      const metrics = await lab.metrics('node-1');
      t.is(value(metrics, 'aquifer_limit_hits_total{limit="connectionsPerPod"}'), more.calls);
      t.is(value(metrics, 'aquifer_connections_refused_total{reason="limit_connections"}'), more.calls);
      // The log is small here and may have lost the first lines.
      await until('the log tells', async () => {
        await lab.exec('shop/client', program('caller', address, 8080, 0.05));
        return /connection failed.*reason=limit_connections$/m.test(readLog());
      });
      t.regex(readLog(), /connection failed.*src\.workload="client".*error="connection limit reached"/);
    } finally {
      held.kill();
    }
    await until('there is room again', async () => (await load('shop/client', address, 8080, 0.1)).failures === 0);
  },
);

test.serial('label sets beyond the limit are counted as one', async (t) => {
  const script = `for i in $(seq 0 ${SERVICES - 1}); do read -r line </dev/tcp/s$i.shop/80 && echo "$line"; done`;
  const ran = await lab.exec('shop/client', ['bash', '-c', script]);
  t.is(ran.stdout.trim().split('\n').length, SERVICES, ran.stderr);
  const metrics = await lab.metrics('node-1');
  const series = metrics.split('\n').filter((line) => line.startsWith('istio_tcp_connections_opened_total{'));
  t.true(series.length <= SERIES + 1, `${series.length} series`);
  t.true(series.some((line) => line.includes('overflow')));
  t.true(value(metrics, 'aquifer_limit_hits_total{limit="metricSeries"}') > 0);
});

for (const [title, server, from] of [
  ['a server of another node', 'shop/far', 'shop/client'],
  ['a server outside the mesh', 'plain/outside', 'shop/client'],
  ['a client', 'shop/near', 'plain/stranger'],
] as const) {
  test.serial(`${title} that vanishes without a FIN is noticed, and the other side is told`, async (t) => {
    const [inNamespace = '', name = ''] = server.split('/');
    const address = await lab.address(inNamespace, name);
    const held = await Held.open(lab, from, address, 8080, 2);
    const live = async () =>
      (await lab.connections('node-1')).filter(
        (flow) => flow.state === 'open' && `${flow['dst.addr']}` === `${address}:8080`,
      );
    try {
      t.is((await live()).length, 2);
      const [goneNamespace = '', gone = ''] = (title === 'a client' ? from : server).split('/');
      await vanish(goneNamespace, gone);
      await until('they are gone from the table', async () => (await live()).length === 0);
      if (title !== 'a client') t.deepEqual(await held.ended(2), ['ECONNRESET', 'ECONNRESET']);
      await until('the log tells', () =>
        /error="connection reset by the (server|client): E(TIMEDOUT|HOSTUNREACH)"/.test(readLog()),
      );
    } finally {
      held.kill();
    }
  });
}

test.serial('a drain resets at its deadline what has not ended, with a reason, and the successor serves', async (t) => {
  const address = await lab.address('shop', 'near');
  const held = await Held.open(lab, 'shop/other', address, 8080, 3);
  const began = Date.now();
  try {
    const restarted = await lab.cli(['lab', 'restart', 'agent/node-1']);
    t.is(restarted.code, 0, restarted.stderr);
    t.deepEqual(await held.ended(3), ['ECONNRESET', 'ECONNRESET', 'ECONNRESET']);
    t.true(Date.now() - began >= 1_500, 'not before the deadline');
  } finally {
    held.kill();
  }
  const told = await eventually('the log tells', () => /^.*reason=drain$/m.exec(readLog())?.[0]);
  t.regex(told, /src\.workload="other".*error="connection closed due to connection drain"/);
  t.is((await load('shop/other', address, 8080, 0.2)).failures, 0);
});
