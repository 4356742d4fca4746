import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { dumpSnapshot } from '../../../../agent/admin/config-dump.ts';
import { HttpEndpoint } from '../../../../agent/admin/http.ts';
import { adminRoutes, metricsRoutes, readinessRoutes } from '../../../../agent/admin/routes.ts';
import type { AgentView, PodStatus } from '../../../../agent/admin/view.ts';
import { denyAll, service, snapshot, workload } from '../../../support/agent-fakes.ts';

const LIMITS = { adminBodyBytes: 256, adminConnections: 64 };
const POD: PodStatus = {
  uid: 'u',
  namespace: 'shop',
  name: 'web',
  state: 'enrolled',
  reason: '',
  slot: 1,
  connections: 0,
};

function fakeView(overrides: Partial<AgentView> = {}): AgentView & { drained: (number | null)[] } {
  let level = 'info';
  const drained: (number | null)[] = [];
  return {
    drained,
    pods: () => [POD],
    waitForPod: async (uid) => (uid === 'u' ? POD : null),
    connections: () => [],
    configDump: () => ({}),
    verdicts: () => ({}),
    flows: { subscribe: () => true, unsubscribe: () => {} },
    logLevel: () => level,
    setLogLevel: (to) => {
      if (!['info', 'debug'].includes(to)) return false;
      level = to;
      return true;
    },
    drain: (deadlineMs) => drained.push(deadlineMs),
    version: () => ({}),
    metrics: async () => '# metrics\n',
    unready: () => [],
    ...overrides,
  };
}

const ask = (method: string, path: string, trusted = true, body = '') => {
  const [pathname = '', query = ''] = path.split('?');
  return { method, path: pathname, query: new URLSearchParams(query), body, trusted };
};

test('pods are listed and waited for', async (t) => {
  const handle = adminRoutes(fakeView());
  t.deepEqual(await handle(ask('GET', '/pods')), { status: 200, body: [POD] });
  t.deepEqual(await handle(ask('GET', '/pods/u?waitMs=5')), { status: 200, body: POD });
  t.like(await handle(ask('GET', '/pods/none')), { status: 404 });
  t.like(await handle(ask('GET', '/pods/u?waitMs=-1')), { status: 400 });
});

test('the log level is changed by known names only', async (t) => {
  const handle = adminRoutes(fakeView());
  t.deepEqual(await handle(ask('PUT', '/logging?level=debug')), { status: 200, body: { level: 'debug' } });
  t.like(await handle(ask('PUT', '/logging?level=loud')), { status: 400 });
  t.deepEqual(await handle(ask('GET', '/logging')), { status: 200, body: { level: 'debug' } });
});

test('drain is for the Unix socket, with a deadline in body or query', async (t) => {
  const view = fakeView();
  const handle = adminRoutes(view);
  t.like(await handle(ask('POST', '/drain', false)), { status: 403 });
  t.like(await handle(ask('POST', '/drain')), { status: 202 });
  t.like(await handle(ask('POST', '/drain', true, '{"deadlineMs":5}')), { status: 202 });
  t.like(await handle(ask('POST', '/drain?deadlineMs=x')), { status: 400 });
  t.deepEqual(view.drained, [null, 5]);
});

test('readiness names what is missing', async (t) => {
  t.like(await readinessRoutes(fakeView())(ask('GET', '/healthz/ready')), { status: 200 });
  const missing = fakeView({ unready: () => ['snapshot'] });
  t.like(await readinessRoutes(missing)(ask('GET', '/healthz/ready')), { status: 503, body: 'not ready: snapshot\n' });
});

test('metrics answer under both names', async (t) => {
  const handle = metricsRoutes(fakeView());
  for (const path of ['/metrics', '/stats/prometheus'])
    t.like(await handle(ask('GET', path)), { status: 200, body: '# metrics\n' });
  t.like(await handle(ask('GET', '/pods')), { status: 404 });
});

test('the dump is JSON in the shape of ztunnel', (t) => {
  const key = 'shop/db.shop.svc.cluster.local';
  const db = workload('db', '10.0.0.2', { services: new Map([[key, new Map([[80, 8080]])]]) });
  const cidr = { ...denyAll('shop/no') };
  const dump = JSON.parse(
    JSON.stringify(
      dumpSnapshot(
        snapshot({ workloads: [db], services: [service('db', '10.96.0.5', { 80: 8080 })], policies: [cidr] }),
      ),
    ),
  );
  t.like(dump.workloads[0], {
    workloadIps: ['10.0.0.2'],
    protocol: 'HBONE',
    serviceAccount: 'db',
    services: { [key]: { 80: 8080 } },
  });
  t.like(dump.services[0], { vips: ['10.96.0.5'], endpoints: [db.uid] });
  t.is(dump.policies[0].name, 'shop/no');
});

function call(socketPath: string, path: string, body = ''): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, agent: false, method: body === '' ? 'GET' : 'POST' }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('a successor takes the socket over while the predecessor still runs', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'aq-admin-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'agent.sock');
  const first = new HttpEndpoint(() => ({ status: 200, body: 'first', contentType: 'text/plain' }), LIMITS, true);
  const second = new HttpEndpoint(() => ({ status: 200, body: 'second', contentType: 'text/plain' }), LIMITS, true);
  await first.listenUnix(path);
  t.is((await call(path, '/')).text, 'first');
  await second.listenUnix(path);
  first.close();
  t.is((await call(path, '/')).text, 'second');
  second.close();
  await t.throwsAsync(call(path, '/'), { code: 'ENOENT' });
});

test('a handler that throws answers 500, a body that is too large 413', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'aq-admin-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'agent.sock');
  const endpoint = new HttpEndpoint(
    () => {
      throw new Error('broken');
    },
    LIMITS,
    true,
  );
  await endpoint.listenUnix(path);
  t.teardown(() => endpoint.close());
  t.deepEqual(await call(path, '/'), { status: 500, text: '{"error":"broken"}\n' });
  t.is((await call(path, '/', 'x'.repeat(300))).status, 413);
});
