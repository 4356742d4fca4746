/** Services as kube-proxy honours them, when the caller is captured. */
import test from 'ava';
import { until } from '../../support/eventually.ts';
import { Lab } from '../../support/lab.ts';
import {
  ambient,
  deployment,
  echo,
  type Manifest,
  namespace,
  pod,
  program,
  service,
  yaml,
} from '../../support/manifests.ts';

let lab: Lab;

const zoned = (name: string, zone: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'topology.kubernetes.io/region': 'r1', 'topology.kubernetes.io/zone': zone } },
});

/** Ready only while `/tmp/<file>` is there. */
function gated(port: number, file: string): Manifest {
  return {
    readinessProbe: { exec: { command: ['test', '-e', `/tmp/${file}`] }, periodSeconds: 1, failureThreshold: 1 },
    ports: [{ containerPort: port }],
  };
}

const GATE = `aquifer-gate-${process.pid}`;

const GATED = [
  pod('shop', 'gated', { node: 'node-1', command: program('echo', 8080, 'gated'), container: gated(8080, GATE) }),
  service('shop', 'gated', [{ port: 80, targetPort: 8080 }]),
  service('shop', 'unready', [{ port: 80, targetPort: 8080 }], {
    selector: { app: 'gated' },
    publishNotReadyAddresses: true,
  }),
];

test.before(async () => {
  const both = { selector: { set: 'both' } };
  lab = await Lab.up(
    'services',
    yaml(
      zoned('node-1', 'z1'),
      zoned('node-2', 'z2'),
      ambient('shop'),
      namespace('plain'),
      pod('shop', 'client', { node: 'node-1' }),
      pod('shop', 'other-client', { node: 'node-1' }),
      pod('shop', 'b1', { node: 'node-1', labels: { set: 'both' }, ...echo(8080, 'b1') }),
      pod('shop', 'b2', { node: 'node-2', labels: { set: 'both' }, ...echo(8080, 'b2') }),
      pod('plain', 'outside', { node: 'node-2', ...echo(9000, 'outside') }),
      service('shop', 'both', [{ port: 80, targetPort: 8080 }], both),
      service('shop', 'sticky', [{ port: 80, targetPort: 8080 }], {
        ...both,
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      }),
      service('shop', 'local', [{ port: 80, targetPort: 8080 }], { ...both, internalTrafficPolicy: 'Local' }),
      service('shop', 'close', [{ port: 80, targetPort: 8080 }], { ...both, trafficDistribution: 'PreferClose' }),
      service('shop', 'headless', [{ port: 8080 }], { ...both, clusterIP: 'None' }),
      service('shop', 'external', [{ port: 80, targetPort: 8080 }], { ...both, externalIPs: ['198.51.100.7'] }),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace: 'shop', name: 'alias' },
        spec: { type: 'ExternalName', externalName: 'both.shop.svc.cluster.local' },
      },
      service('shop', 'remote-only', [{ port: 80, targetPort: 8080 }], {
        selector: { app: 'b2' },
        internalTrafficPolicy: 'Local',
      }),
      pod('shop', 'named1', {
        node: 'node-1',
        labels: { set: 'named' },
        command: program('echo', 7001, 'named1'),
        ports: [{ name: 'web', containerPort: 7001 }],
      }),
      pod('shop', 'named2', {
        node: 'node-2',
        labels: { set: 'named' },
        command: program('echo', 7002, 'named2'),
        ports: [{ name: 'web', containerPort: 7002 }],
      }),
      service('shop', 'named', [{ port: 80, targetPort: 'web' }], { selector: { set: 'named' } }),
      service('shop', 'empty', [{ port: 80 }], { selector: { app: 'nobody' } }),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace: 'shop', name: 'by-hand' },
        spec: { ports: [{ port: 80, targetPort: 9000 }] },
      },
      deployment('shop', 'rolling', 3, {
        ...echo(8080),
        container: {
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          lifecycle: { preStop: { exec: { command: ['sleep', '1'] } } },
        },
      }),
      service('shop', 'rolling', [{ port: 80, targetPort: 8080 }]),
    ),
  );
  await until(
    'the fixed pods answer',
    async () => (await calls('shop/client', 'both.shop', 80, 0.3)).failures === 0,
    30_000,
  );
});

test.after.always(async () => {
  await lab?.down();
});

interface Calls {
  calls: number;
  failures: number;
  errors: Record<string, number>;
  answeredBy: Record<string, number>;
  slowestMs: number;
}

async function calls(from: string, host: string, port: number, seconds: number, concurrency = 1): Promise<Calls> {
  const ran = await lab.exec(from, program('caller', host, port, seconds, concurrency), {
    timeoutMs: (seconds + 60) * 1000,
  });
  if (ran.code !== 0) throw new Error(ran.stderr);
  return JSON.parse(ran.stdout);
}

const names = (result: Calls) => Object.keys(result.answeredBy).sort();

test.serial('a Service spreads over its endpoints on both nodes', async (t) => {
  const result = await calls('shop/client', 'both.shop', 80, 1);
  t.is(result.failures, 0, JSON.stringify(result));
  t.deepEqual(names(result), ['b1', 'b2']);
});

test.serial('sessionAffinity ClientIP keeps to one endpoint', async (t) => {
  const result = await calls('shop/client', 'sticky.shop', 80, 1);
  t.is(result.failures, 0, JSON.stringify(result));
  t.is(names(result).length, 1);
  t.deepEqual(names(await calls('shop/client', 'sticky.shop', 80, 0.3)), names(result));
});

test.serial('internalTrafficPolicy Local keeps to the node, and refuses where the node has none', async (t) => {
  t.deepEqual(names(await calls('shop/client', 'local.shop', 80, 0.5)), ['b1']);
  const none = await calls('shop/client', 'remote-only.shop', 80, 0.2);
  t.is(none.failures, none.calls);
});

test.serial('trafficDistribution PreferClose keeps to the zone while it has an endpoint', async (t) => {
  t.deepEqual(names(await calls('shop/client', 'close.shop', 80, 0.5)), ['b1']);
});

test.serial('a headless Service is reached by the addresses of its pods', async (t) => {
  const result = await calls('shop/client', 'headless.shop', 8080, 0.5);
  t.is(result.failures, 0, JSON.stringify(result));
});

test.serial('an external address leads to the Service', async (t) => {
  const result = await calls('shop/client', '198.51.100.7', 80, 0.5);
  t.is(result.failures, 0, JSON.stringify(result));
  t.deepEqual(names(result), ['b1', 'b2']);
});

test.serial('ExternalName is followed', async (t) => {
  const result = await calls('shop/client', 'alias.shop', 80, 0.3);
  t.is(result.failures, 0, JSON.stringify(result));
});

test.serial('a named target port is each pod own', async (t) => {
  await until(
    'both answer',
    async () => names(await calls('shop/client', 'named.shop', 80, 0.5)).join() === 'named1,named2',
  );
  t.is((await calls('shop/client', 'named.shop', 80, 0.3)).failures, 0);
});

test.serial('only ready endpoints count, unless publishNotReadyAddresses', async (t) => {
  t.is((await lab.apply(yaml(...GATED))).code, 0);
  await until(
    'the gated pod answers where readiness does not matter',
    async () => (await calls('shop/client', 'unready.shop', 80, 0.2)).failures === 0,
  );
  const refused = await calls('shop/client', 'gated.shop', 80, 0.2);
  t.is(refused.failures, refused.calls);
  await lab.exec('shop/gated', ['touch', `/tmp/${GATE}`]);
  await until('it became ready', async () => (await calls('shop/client', 'gated.shop', 80, 0.2)).failures === 0);
  await lab.exec('shop/gated', ['rm', `/tmp/${GATE}`]);
  await until(
    'and unready again',
    async () => (await calls('shop/client', 'gated.shop', 80, 0.2)).answeredBy.gated === undefined,
  );
});

test.serial('a Service with no endpoint and a port that a Service does not have are refused at once', async (t) => {
  for (const [host, port] of [
    ['empty.shop', 80],
    ['both.shop', 81],
  ] as const) {
    const result = await calls('shop/client', host, port, 0.2);
    t.is(result.failures, result.calls, host);
    t.true(result.slowestMs < 3_000, `${host}: ${result.slowestMs} ms`);
  }
});

test.serial('a Service without selector goes where its EndpointSlice says', async (t) => {
  const slice = yaml({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'shop', name: 'by-hand-1', labels: { 'kubernetes.io/service-name': 'by-hand' } },
    addressType: 'IPv4',
    ports: [{ port: 9000, protocol: 'TCP' }],
    endpoints: [{ addresses: [await lab.address('plain', 'outside')], conditions: { ready: true } }],
  });
  const applied = await lab.apply(slice);
  t.is(applied.code, 0, applied.stdout + applied.stderr);
  await until(
    'it answers',
    async () => (await calls('shop/client', 'by-hand.shop', 80, 0.2)).answeredBy.outside !== undefined,
  );
  t.is((await calls('shop/client', 'by-hand.shop', 80, 0.3)).failures, 0);
});

test.serial('a pod reaches itself through its own Service', async (t) => {
  const result = await calls('shop/b1', 'both.shop', 80, 1);
  t.is(result.failures, 0, JSON.stringify(result));
  t.deepEqual(names(result), ['b1', 'b2']);
});

test.serial('an endpoint that refuses is passed over for another', async (t) => {
  const dead = yaml(pod('shop', 'dead', { node: 'node-1', labels: { set: 'both' } }));
  t.is((await lab.apply(dead)).code, 0);
  await until('the dead pod counts as an endpoint', async () => {
    const { items } = await lab.controller<{ items: { metadata: { name: string }; endpoints?: unknown[] }[] }>(
      '/v1/objects?kind=EndpointSlice&namespace=shop',
    );
    return items.some((item) => item.metadata.name.startsWith('both') && (item.endpoints?.length ?? 0) === 3);
  });
  const result = await calls('shop/client', 'both.shop', 80, 2, 2);
  t.is(result.failures, 0, JSON.stringify(result));
  await lab.delete(dead);
});

test.serial('a roll-out of a Deployment under load fails no request', async (t) => {
  await until('it answers', async () => (await calls('shop/client', 'rolling.shop', 80, 0.3)).failures === 0);
  const loading = calls('shop/client', 'rolling.shop', 80, 15, 2);
  const changed = deployment('shop', 'rolling', 3, {
    ...echo(8080),
    labels: { version: 'v2' },
    container: {
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
      lifecycle: { preStop: { exec: { command: ['sleep', '1'] } } },
    },
  });
  const applied = await lab.apply(yaml(changed));
  t.is(applied.code, 0, applied.stdout + applied.stderr);
  const result = await loading;
  t.true(result.calls > 100, JSON.stringify(result));
  t.is(result.failures, 0, JSON.stringify(result));
  t.true(names(result).length >= 4, `old and new pods answered: ${names(result).join(' ')}`);
});

test.serial(
  'a pod that terminates goes on serving those that are connected, and gets new ones only when nobody else is ready',
  async (t) => {
    const last = yaml(
      pod('shop', 'last', {
        node: 'node-2',
        ...echo(8080, 'last'),
        container: {
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          lifecycle: { preStop: { exec: { command: ['sleep', '6'] } } },
        },
        spec: { terminationGracePeriodSeconds: 10 },
      }),
      service('shop', 'last', [{ port: 80, targetPort: 8080 }]),
    );
    t.is((await lab.apply(last)).code, 0);
    await until('it answers', async () => (await calls('shop/client', 'last.shop', 80, 0.2)).failures === 0);
    const deleting = lab.delete(yaml(pod('shop', 'last', {})));
    const result = await calls('shop/client', 'last.shop', 80, 3);
    t.is(result.failures, 0, JSON.stringify(result));
    await deleting;
  },
);
