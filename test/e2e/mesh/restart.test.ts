/** The agent and the controller go and come back; what is captured stays captured. */
import test from 'ava';
import { until } from '../../support/eventually.ts';
import { Held } from '../../support/held.ts';
import { Lab, type PodState } from '../../support/lab.ts';
import { ambient, echo, l4Policy, pod, program, service, serviceAccount, yaml } from '../../support/manifests.ts';

let lab: Lab;

test.before(async () => {
  lab = await Lab.up(
    'restart',
    yaml(
      ambient('shop'),
      serviceAccount('shop', 'web'),
      serviceAccount('shop', 'cart'),
      pod('shop', 'web', { node: 'node-1', serviceAccount: 'web' }),
      pod('shop', 'cart', { node: 'node-1', serviceAccount: 'cart' }),
      pod('shop', 'near', { node: 'node-1', ...echo(8080) }),
      pod('shop', 'far', { node: 'node-2', ...echo(8080) }),
      service('shop', 'near', [{ port: 80, targetPort: 8080 }]),
      service('shop', 'far', [{ port: 80, targetPort: 8080 }]),
      l4Policy('shop', 'no-cart', {
        action: 'Deny',
        selector: { matchLabels: { app: 'near' } },
        rules: [{ from: [{ serviceAccounts: ['shop/cart'] }] }],
      }),
    ),
  );
});

test.after.always(async () => {
  await lab?.down();
});

async function enrolledCount(node: string): Promise<number> {
  return (await lab.agent<PodState[]>(node, '/pods')).filter((entry) => entry.state === 'enrolled').length;
}

async function load(
  host: string,
  seconds: number,
): Promise<{ calls: number; failures: number; errors: Record<string, number>; slowestMs: number }> {
  const ran = await lab.exec('shop/web', program('caller', host, 80, seconds, 4), { timeoutMs: (seconds + 60) * 1000 });
  return JSON.parse(ran.stdout);
}

for (const [node, host] of [
  ['node-1', 'near.shop'],
  ['node-1', 'far.shop'],
  ['node-2', 'far.shop'],
] as const) {
  test.serial(
    `a restart of agent/${node} under load to ${host} fails no new connection and cuts no live one`,
    async (t) => {
      const held = await Held.open(lab, 'shop/web', host, 80, 3);
      try {
        const loading = load(host, 8);
        const restarted = await lab.cli(['lab', 'restart', `agent/${node}`]);
        t.is(restarted.code, 0, restarted.stdout + restarted.stderr);
        const result = await loading;
        t.true(result.calls > 50, JSON.stringify(result));
        t.is(result.failures, 0, JSON.stringify(result));
        t.is(await held.ping(), 3);
        t.deepEqual(held.endsSoFar(), []);
      } finally {
        held.kill();
      }
    },
  );
}

test.serial(
  'with the agent killed, captured traffic is refused, never passed, and comes back without touching the pods',
  async (t) => {
    const before = await lab.controller<{ items: { metadata: { name: string; uid: string } }[] }>(
      '/v1/objects?kind=Pod',
    );
    const killed = await lab.cli(['lab', 'restart', 'agent/node-1', '--kill']);
    t.is(killed.code, 0, killed.stdout + killed.stderr);
    await until('the agent is back', async () => (await enrolledCount('node-1')) === 3);
    const after = await lab.controller<{ items: { metadata: { name: string; uid: string } }[] }>(
      '/v1/objects?kind=Pod',
    );
    t.deepEqual(
      after.items.map((item) => item.metadata.uid).sort(),
      before.items.map((item) => item.metadata.uid).sort(),
    );
    const result = await load('near.shop', 1);
    t.is(result.failures, 0, JSON.stringify(result));
    const cart = await lab.exec('shop/cart', program('caller', 'near.shop', 80, 0.3));
    t.is(JSON.parse(cart.stdout).failures, JSON.parse(cart.stdout).calls);
  },
);

test.serial(
  'while the agent is dead a caller that a policy refuses does not get through, nor does anyone else',
  async (t) => {
    const pid = await agentPid('node-1');
    process.kill(pid, 'SIGSTOP');
    try {
      const address = await lab.address('shop', 'near');
      for (const caller of ['shop/web', 'shop/cart']) {
        const ran = await lab.exec(caller, ['timeout', '3', 'ncat', '-w', '2', address, '8080'], {
          input: 'hello\n',
          timeoutMs: 10_000,
        });
        t.false(ran.stdout.includes('hello'), `${caller}: ${ran.stdout}`);
      }
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until('it serves again', async () => (await load('near.shop', 0.5)).failures === 0);
  },
);

test.serial(
  'the controller stopped: traffic and policy go on; an agent killed meanwhile comes back from its own state',
  async (t) => {
    t.is((await lab.cli(['lab', 'stop', 'controller'])).code, 0);
    try {
      t.is((await load('near.shop', 1)).failures, 0);
      t.is((await lab.cli(['lab', 'restart', 'agent/node-1', '--kill'])).code, 0);
      await until('enrolled again with no controller', async () => (await enrolledCount('node-1')) === 3, 20_000);
      t.is((await load('near.shop', 1)).failures, 0);
      t.is((await load('far.shop', 1)).failures, 0);
      const cart = JSON.parse((await lab.exec('shop/cart', program('caller', 'near.shop', 80, 0.3))).stdout);
      t.is(cart.failures, cart.calls);
    } finally {
      t.is((await lab.cli(['lab', 'start', 'controller'])).code, 0);
    }
    const policy = yaml(
      l4Policy('shop', 'no-web', {
        action: 'Deny',
        selector: { matchLabels: { app: 'near' } },
        rules: [{ from: [{ serviceAccounts: ['shop/web'] }] }],
      }),
    );
    await until('the controller answers', async () => (await lab.apply(policy)).code === 0);
    await until('its word counts again', async () => {
      const result = await load('near.shop', 0.2);
      return result.failures === result.calls;
    });
    await lab.delete(policy);
    await until('and again', async () => (await load('near.shop', 0.2)).failures === 0);
  },
);

async function agentPid(node: string): Promise<number> {
  const version = await lab.agent<{ pid: number }>(node, '/version');
  return version.pid;
}
