/** What held before enrolment still holds: NetworkPolicy, probes, and what the app sees of its caller. */
import test from 'ava';
import { until } from '../../support/eventually.ts';
import { Lab, run } from '../../support/lab.ts';
import { ambient, echo, l4Policy, type Manifest, namespace, pod, yaml } from '../../support/manifests.ts';

let lab: Lab;

test.before(async () => {
  lab = await Lab.up(
    'keeps',
    yaml(
      ambient('shop'),
      namespace('plain'),
      pod('shop', 'friend', { node: 'node-1' }),
      pod('shop', 'foe', { node: 'node-1' }),
      pod('shop', 'near', { node: 'node-1', ...echo(8080) }),
      pod('shop', 'far', { node: 'node-2', ...echo(8080) }),
      pod('shop', 'probed', {
        node: 'node-1',
        command: [
          'bash',
          '-c',
          `python3 -m http.server 8000 & ${[process.execPath, `${import.meta.dirname}/../programs/echo.ts`, '8080'].join(' ')} & wait`,
        ],
        container: {
          readinessProbe: { httpGet: { port: 8000, path: '/' }, periodSeconds: 1 },
          livenessProbe: { tcpSocket: { port: 8000 }, periodSeconds: 1 },
        },
      }),
    ),
  );
});

test.after.always(async () => {
  await lab?.down();
});

async function answers(from: string, host: string): Promise<boolean> {
  const ran = await lab.exec(from, ['ncat', '-w', '2', await lab.address('shop', host), '8080'], {
    input: 'hello\n',
    timeoutMs: 10_000,
  });
  return ran.stdout.endsWith('hello\n');
}

for (const host of ['near', 'far']) {
  test.serial(`a NetworkPolicy between two enrolled pods still counts (to ${host})`, async (t) => {
    t.true(await answers('shop/foe', host));
    const policy: Manifest = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: 'shop', name: 'only-friend' },
      spec: {
        podSelector: { matchLabels: { app: host } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }] }],
      },
    };
    t.is((await lab.apply(yaml(policy))).code, 0);
    await until('foe is kept out', async () => !(await answers('shop/foe', host)));
    t.true(await answers('shop/friend', host));
    await lab.delete(yaml(policy));
    await until('foe is let in again', () => answers('shop/foe', host));
  });
}

test.serial(
  'probes of the node reach a pod whose policy admits nobody; the same node on another port is an ordinary caller',
  async (t) => {
    const policy = yaml(
      l4Policy('shop', 'nobody', { action: 'Allow', selector: { matchLabels: { app: 'probed' } }, rules: [] }),
    );
    t.is((await lab.apply(policy)).code, 0);
    await until('callers are refused', async () => !(await answers('shop/friend', 'probed')));
    const before = await restarts('probed');
    const address = await lab.address('shop', 'probed');
    const node = `aq-${lab.name}-node-1`;
    const stranger = async (port: number) =>
      (
        await run('ip', ['netns', 'exec', node, 'ncat', '-w', '2', address, String(port)], {
          input: 'GET / HTTP/1.0\r\n\r\n',
          timeoutMs: 10_000,
        })
      ).stdout;
    t.is(await stranger(8080), '', 'a node process that is not the kubelet, port without a probe');
    t.is(await stranger(8000), '', 'a node process that is not the kubelet, port with a probe');
    const kubelet = await run(
      'bash',
      [
        '-c',
        `echo $BASHPID > ${await kubeletCgroup()}/cgroup.procs; exec ip netns exec ${node} ncat -w 2 ${address} 8080`,
      ],
      { input: 'hello\n', timeoutMs: 10_000 },
    );
    t.is(kubelet.stdout, '', 'the kubelet, port without a probe');
    const probe = await run(
      'bash',
      [
        '-c',
        `echo $BASHPID > ${await kubeletCgroup()}/cgroup.procs; exec ip netns exec ${node} curl -sS -m 3 -o /dev/null -w '%{http_code}' http://${address}:8000/`,
      ],
      { timeoutMs: 10_000 },
    );
    t.is(probe.stdout, '200', probe.stderr);
    await until('it is ready all the while', async () => (await ready('probed')) === 'True');
    t.is(await restarts('probed'), before);
    await lab.delete(policy);
  },
);

interface PodStatus {
  items: {
    status?: { conditions?: { type: string; status: string }[]; containerStatuses?: { restartCount: number }[] };
  }[];
}

async function podStatus(name: string): Promise<PodStatus['items'][number] | undefined> {
  return (await lab.controller<PodStatus>(`/v1/objects?kind=Pod&namespace=shop&name=${name}`)).items[0];
}

async function ready(name: string): Promise<string | undefined> {
  return (await podStatus(name))?.status?.conditions?.find((condition) => condition.type === 'Ready')?.status;
}

async function restarts(name: string): Promise<number> {
  return (await podStatus(name))?.status?.containerStatuses?.[0]?.restartCount ?? 0;
}

async function kubeletCgroup(): Promise<string> {
  const mounts = await run('findmnt', ['-t', 'cgroup2', '-no', 'TARGET']);
  return `${mounts.stdout.split('\n')[0]}/aquifer-${lab.name}/node-1/kubelet`;
}
