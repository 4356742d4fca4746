import test from 'ava';
import { until } from '../../support/eventually.ts';
import { Lab } from '../../support/lab.ts';
import { type Manifest, namespace, pod, program, service, yaml } from '../../support/manifests.ts';

let lab: Lab;

/** Says its own name to everyone who connects. */
function greeter(name: string, node: string): Manifest {
  const script = `require('node:net').createServer((s) => { s.on('error', () => {}); s.end('${name} ' + s.remoteAddress + '\\n'); }).listen(7000, '::')`;
  return pod('net', name, {
    node,
    labels: { app: 'greeter' },
    command: [process.execPath, '-e', script],
    ports: [{ name: 'hello', containerPort: 7000 }],
    container: { readinessProbe: { tcpSocket: { port: 7000 }, periodSeconds: 1 } },
    spec: { hostname: name, subdomain: 'direct' },
  });
}

test.before(async () => {
  const manifests = yaml(
    namespace('net'),
    greeter('one', 'node-1'),
    greeter('two', 'node-2'),
    pod('net', 'caller', { node: 'node-1', labels: { app: 'caller' } }),
    pod('net', 'far', { node: 'node-2', labels: { app: 'caller' } }),
    pod('net', 'host', {
      annotations: { 'lab.aquifer.dev/outside': 'true' },
      command: program('echo', 7000, 'outside'),
    }),
    service('net', 'greeter', [{ name: 'hello', port: 70, targetPort: 'hello' }], { externalIPs: ['203.0.113.9'] }),
    service('net', 'direct', [{ name: 'hello', port: 7000 }], { selector: { app: 'greeter' }, clusterIP: 'None' }),
    service('net', 'nobody', [{ port: 80 }]),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'alias', namespace: 'net' },
      spec: { type: 'ExternalName', externalName: 'greeter.net.svc.cluster.local' },
    },
  );
  lab = await Lab.up('net', manifests, ['--no-agent']);
});
test.after.always(() => lab?.down());

async function greet(from: string, host: string, port: number, family = 4): Promise<string> {
  const ran = await lab.exec(from, ['ncat', `-${family}`, '-w', '2', '--recv-only', host, String(port)]);
  return ran.code === 0 ? ran.stdout.trim() : `exit ${ran.code}`;
}

async function dig(...args: string[]): Promise<string[]> {
  const ran = await lab.exec('net/caller', ['dig', '+short', '+search', ...args]);
  return ran.stdout.split('\n').filter(Boolean).sort();
}

test.serial('a Service is reached by name from both nodes and in both families', async (t) => {
  for (const from of ['net/caller', 'net/far']) {
    for (const family of [4, 6]) t.regex(await greet(from, 'greeter', 70, family), /^(one|two) /);
  }
});

test.serial('a Service spreads over its endpoints and keeps the address of the caller', async (t) => {
  const answers = new Set<string>();
  for (let call = 0; call < 20; call++) answers.add(await greet('net/caller', 'greeter.net', 70));
  t.deepEqual([...answers].map((answer) => answer.split(' ')[0]).sort(), ['one', 'two']);
  const address = await lab.address('net', 'caller');
  t.true([...answers].every((answer) => answer.endsWith(address)));
});

test.serial('a pod reaches itself through its Service', async (t) => {
  const answers = new Set<string>();
  for (let call = 0; call < 12; call++) answers.add((await greet('net/one', 'greeter', 70)).split(' ')[0] ?? '');
  t.true(answers.has('one'));
  t.false([...answers].some((answer) => answer.startsWith('exit')));
});

test.serial('an external address leads to the endpoints', async (t) => {
  t.regex(await greet('net/caller', '203.0.113.9', 70), /^(one|two) /);
});

test.serial('a Service without endpoints refuses at once', async (t) => {
  const began = Date.now();
  t.regex(await greet('net/caller', 'nobody', 80), /^exit/);
  t.true(Date.now() - began < 1_500);
});

test.serial('the node itself reaches Services, too', async (t) => {
  const [address = ''] = await dig('greeter', 'A');
  const { run } = await import('../../support/lab.ts');
  const ran = await run('nsenter', [
    `--net=/run/netns/aq-${lab.name}-node-1`,
    'ncat',
    '-w',
    '2',
    '--recv-only',
    address,
    '70',
  ]);
  t.regex(ran.stdout, /^(one|two) /);
});

test.serial('names resolve as Kubernetes says', async (t) => {
  const ips = [await lab.address('net', 'one'), await lab.address('net', 'two')].sort();
  t.deepEqual(await dig('direct', 'A'), ips);
  t.deepEqual(
    await dig('direct.net', 'AAAA'),
    [await lab.address('net', 'one', 6), await lab.address('net', 'two', 6)].sort(),
  );
  t.deepEqual(await dig('one.direct', 'A'), [await lab.address('net', 'one')]);
  t.is((await dig('greeter.net.svc', 'A')).length, 1);
  t.deepEqual(await dig('+tcp', '_hello._tcp.direct', 'SRV'), [
    '0 100 7000 one.direct.net.svc.cluster.local.',
    '0 100 7000 two.direct.net.svc.cluster.local.',
  ]);
  t.deepEqual(await dig('-x', await lab.address('net', 'one')), ['one.direct.net.svc.cluster.local.']);
  const missing = await lab.exec('net/caller', ['dig', 'nowhere.example', 'A']);
  t.regex(missing.stdout, /status: NXDOMAIN/);
  const empty = await lab.exec('net/caller', ['dig', 'greeter.net.svc.cluster.local', 'TXT']);
  t.regex(empty.stdout, /status: NOERROR[\s\S]*ANSWER: 0/);
  t.regex(await greet('net/caller', 'alias', 70), /^(one|two) /);
});

test.serial('the host outside reaches pods and is reached, and is no pod of the cluster', async (t) => {
  t.is((await greet('net/host', await lab.address('net', 'two'), 7000)).split(' ')[0], 'two');
  const { items } = await lab.controller<{ items: { status?: { podIP?: string } }[] }>(
    '/v1/objects?kind=Pod&namespace=net&name=host',
  );
  t.is(items[0]?.status?.podIP, undefined);
  const ran = await lab.exec('net/caller', ['ncat', '-z', '-w', '2', '192.0.2.2', '7000']);
  t.is(ran.code, 0);
});

test.serial('an address that nobody has is refused at once', async (t) => {
  const began = Date.now();
  t.regex(await greet('net/caller', '10.244.1.250', 80), /^exit/);
  t.regex(await greet('net/caller', '198.51.100.1', 80), /^exit/);
  t.true(Date.now() - began < 3_000);
});

const POLICY = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'greeters', namespace: 'net' },
  spec: { podSelector: { matchLabels: { app: 'greeter' } }, policyTypes: ['Ingress'] },
};

test.serial('a NetworkPolicy holds between pods of one node and across, and lets probes through', async (t) => {
  const one = await lab.address('net', 'one');
  const two = await lab.address('net', 'two');
  t.is((await lab.apply(yaml(POLICY))).code, 0);
  await until('same node is refused', async () => (await greet('net/caller', one, 7000)).startsWith('exit'));
  t.regex(await greet('net/caller', two, 7000), /^exit/);
  t.regex(await greet('net/far', two, 7000), /^exit/);
  const allow = {
    ...POLICY,
    spec: {
      ...POLICY.spec,
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'caller' } } }], ports: [{ port: 'hello' }] }],
    },
  };
  t.is((await lab.apply(yaml(allow))).code, 0);
  await until('same node is allowed', async () => (await greet('net/caller', one, 7000)).startsWith('one'));
  t.regex(await greet('net/caller', two, 7000), /^two/);
  t.regex(await greet('net/two', one, 7000), /^exit/);
  const status = await lab.cli(['lab', 'status']);
  t.is(status.code, 0, status.stdout);
  await lab.delete(yaml(POLICY));
  await until('all is open again', async () => (await greet('net/two', one, 7000)).startsWith('one'));
});

test.serial('a NetworkPolicy for egress holds at the caller', async (t) => {
  const egress = {
    ...POLICY,
    metadata: { name: 'out', namespace: 'net' },
    spec: {
      podSelector: { matchLabels: { app: 'caller' } },
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: '10.244.1.0/24' } }] }],
    },
  };
  const one = await lab.address('net', 'one');
  t.is((await lab.apply(yaml(egress))).code, 0);
  await until('two is refused', async () => (await greet('net/caller', '10.244.2.2', 7000)).startsWith('exit'));
  t.regex(await greet('net/caller', one, 7000), /^one/);
  await lab.delete(yaml(egress));
});
