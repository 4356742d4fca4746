/** What enrolled pods send is captured, carried and attributed, with real programs at both ends. */
import test from 'ava';
import { until } from '../../support/eventually.ts';
import { Lab } from '../../support/lab.ts';
import { ambient, echo, namespace, pod, program, service, yaml } from '../../support/manifests.ts';

let lab: Lab;

test.before(async () => {
  lab = await Lab.up(
    'capture',
    yaml(
      ambient('shop'),
      namespace('plain'),
      pod('shop', 'client', { node: 'node-1' }),
      pod('plain', 'stranger', { node: 'node-1' }),
      pod('shop', 'near', { node: 'node-1', ...echo(8080) }),
      pod('shop', 'far', { node: 'node-2', ...echo(8080) }),
      pod('plain', 'outsider', { node: 'node-2', ...echo(8080) }),
      service('shop', 'near', [{ port: 80, targetPort: 8080 }]),
      service('shop', 'far', [{ port: 80, targetPort: 8080 }]),
      service('plain', 'outsider', [{ port: 80, targetPort: 8080 }]),
      pod('shop', 'nginx', {
        node: 'node-1',
        command: ['nginx', '-e', '/dev/stderr', '-c', `${import.meta.dirname}/../programs/nginx.conf`],
        container: { readinessProbe: { httpGet: { port: 8081, path: '/' }, periodSeconds: 1 } },
      }),
      pod('shop', 'redis', {
        node: 'node-2',
        command: ['redis-server', '--port', '6379', '--bind', '*', '--protected-mode', 'no', '--save', ''],
        container: { readinessProbe: { tcpSocket: { port: 6379 }, periodSeconds: 1 } },
      }),
      pod('shop', 'iperf', {
        node: 'node-2',
        command: ['iperf3', '-s'],
        container: { readinessProbe: { tcpSocket: { port: 5201 }, periodSeconds: 1 } },
      }),
      pod('shop', 'postgres', {
        node: 'node-2',
        command: ['bash', `${import.meta.dirname}/../programs/postgres.sh`],
        container: { readinessProbe: { tcpSocket: { port: 5432 }, periodSeconds: 1 } },
      }),
    ),
  );
});

test.after.always(async () => {
  await lab?.down();
});

/** One call; gives the greeting `name address port` of the echo server. */
async function greeting(from: string, host: string, port: number): Promise<string[]> {
  const ran = await lab.exec(from, ['ncat', '-w', '5', host, String(port)], { input: 'hello\n', timeoutMs: 15_000 });
  const [first = '', second] = ran.stdout.split('\n');
  if (second !== 'hello') throw new Error(`${from} → ${host}:${port}: ${JSON.stringify(ran)}`);
  return first.split(' ');
}

async function agentLog(node: string): Promise<string> {
  const ran = await lab.cli(['lab', 'logs', `agent/${node}`]);
  return ran.stdout;
}

for (const family of [4, 6] as const) {
  test.serial(
    `IPv${family}: a same-node call takes one relay, keeps the source address and is attested by netns`,
    async (t) => {
      const client = await lab.address('shop', 'client', family);
      const near = await lab.address('shop', 'near', family);
      const [name, seen] = await greeting('shop/client', near, 8080);
      t.is(name, 'near');
      t.is(seen, client);
      await until('the access log tells it', async () =>
        (await agentLog('node-1'))
          .split('\n')
          .some((line) =>
            ['src.workload="client"', 'dst.workload="near"', 'attested=netns', near].every((part) =>
              line.includes(part),
            ),
          ),
      );
    },
  );

  test.serial(
    `IPv${family}: a cross-node call keeps the source address and is logged as attested by address`,
    async (t) => {
      const client = await lab.address('shop', 'client', family);
      const far = await lab.address('shop', 'far', family);
      const [name, seen] = await greeting('shop/client', far, 8080);
      t.is(name, 'far');
      t.is(seen, client);
      await until('the access log of the destination tells it', async () =>
        (await agentLog('node-2'))
          .split('\n')
          .some((line) =>
            ['src.workload="client"', 'dst.workload="far"', 'attested=address', 'direction="inbound"'].every((part) =>
              line.includes(part),
            ),
          ),
      );
    },
  );

  test.serial(
    `IPv${family}: a caller outside the mesh reaches an enrolled pod, has no identity and keeps its address`,
    async (t) => {
      const stranger = await lab.address('plain', 'stranger', family);
      for (const [pod_, node] of [
        ['near', 'node-1'],
        ['far', 'node-2'],
      ] as const) {
        const [name, seen] = await greeting('plain/stranger', await lab.address('shop', pod_, family), 8080);
        t.is(name, pod_);
        t.is(seen, stranger);
        await until('the access log tells it', async () =>
          (await agentLog(node))
            .split('\n')
            .some((line) =>
              [`src.addr=`, stranger, `dst.workload="${pod_}"`, 'attested=none'].every((part) => line.includes(part)),
            ),
        );
      }
    },
  );

  test.serial(`IPv${family}: an enrolled pod reaches a pod outside the mesh, counted as passthrough`, async (t) => {
    const [name, seen] = await greeting('shop/client', await lab.address('plain', 'outsider', family), 8080);
    t.is(name, 'outsider');
    t.is(seen, await lab.address('shop', 'client', family));
  });
}

test.serial('services are reached by name, from enrolled and other pods', async (t) => {
  for (const from of ['shop/client', 'plain/stranger']) {
    for (const [host, name] of [
      ['near.shop', 'near'],
      ['far.shop.svc.cluster.local', 'far'],
      ['outsider.plain', 'outsider'],
    ] as const) {
      t.is((await greeting(from, host, 80))[0], name, `${from} → ${host}`);
    }
  }
});

test.serial('nginx answers curl', async (t) => {
  const ran = await lab.exec('shop/client', [
    'curl',
    '-sS',
    '-m',
    '10',
    `http://${await lab.address('shop', 'nginx')}:8081/`,
  ]);
  t.is(ran.stdout, 'served by nginx\n', ran.stderr);
});

test.serial('redis answers', async (t) => {
  const host = await lab.address('shop', 'redis');
  const ran = await lab.exec('shop/client', ['redis-cli', '-h', host, 'set', 'key', 'value']);
  t.is(ran.stdout.trim(), 'OK', ran.stderr);
});

test.serial('postgresql, where the server may wait for the client and then speak first, answers a query', async (t) => {
  const host = await lab.address('shop', 'postgres');
  const ran = await lab.exec('shop/client', ['psql', '-h', host, '-U', 'postgres', '-Atc', 'select 6*7']);
  t.is(ran.stdout.trim(), '42', ran.stderr);
});

test.serial('iperf3 moves bytes both ways', async (t) => {
  const host = await lab.address('shop', 'iperf');
  for (const direction of [[], ['-R']]) {
    const ran = await lab.exec('shop/client', ['iperf3', '-c', host, '-n', '64M', '-J', ...direction]);
    t.is(ran.code, 0, ran.stdout + ran.stderr);
    const { end } = JSON.parse(ran.stdout);
    // The receiver's count lacks what was in flight when the test ended.
    t.true(end.sum_sent.bytes >= 64 * 1024 * 1024);
    t.true(end.sum_received.bytes > 0.8 * end.sum_sent.bytes);
  }
});

test.serial('un-enrolled pods among themselves are not touched', async (t) => {
  const before = await lab.connections('node-1');
  await lab.exec('plain/stranger', program('caller', await lab.address('plain', 'outsider'), 8080, 1));
  t.deepEqual((await lab.connections('node-1')).length, before.length);
  t.notRegex(
    await agentLog('node-1'),
    /dst\.workload="outsider".*src\.workload="stranger"|src\.workload="stranger".*dst\.workload="outsider"/,
  );
});

test.serial('metrics carry the names and labels that Istio dashboards read', async (t) => {
  const ran = await lab.cli(['lab', 'exec', 'shop/client', '--', 'true']);
  t.is(ran.code, 0);
  await until('both reporters of a same-node call are there', async () => {
    const text = await lab.metrics('node-1');
    return ['source', 'destination'].every((reporter) =>
      text
        .split('\n')
        .some(
          (line) =>
            line.startsWith('istio_tcp_connections_opened_total{') &&
            [
              `reporter="${reporter}"`,
              'source_workload="client"',
              'destination_workload="near"',
              'request_protocol="tcp"',
              'response_flags="-"',
              'connection_security_policy="unknown"',
            ].every((label) => line.includes(label)),
        ),
    );
  });
});
