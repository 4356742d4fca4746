/** A running pod joins and leaves the mesh; nothing that may go on is disturbed, nothing that may not goes on. */
import test from 'ava';
import { eventually, until } from '../../support/eventually.ts';
import { Held } from '../../support/held.ts';
import { Lab, type PodState } from '../../support/lab.ts';
import { echo, l4Policy, namespace, pod, yaml } from '../../support/manifests.ts';

let lab: Lab;

test.before(async () => {
  lab = await Lab.up(
    'enrol',
    yaml(
      namespace('shop'),
      namespace('plain'),
      pod('shop', 'client', { node: 'node-1' }),
      pod('shop', 'near', { node: 'node-1', ...echo(8080) }),
      pod('shop', 'far', { node: 'node-2', ...echo(8080) }),
      pod('shop', 'opted-out', { node: 'node-1', labels: { 'aquifer.dev/dataplane-mode': 'none' } }),
      pod('plain', 'stranger', { node: 'node-1' }),
    ),
  );
});

test.after.always(async () => {
  await lab?.down();
});

async function stateOf(node: string, name: string): Promise<string> {
  const pods = await lab.agent<PodState[]>(node, '/pods');
  return pods.find((candidate) => candidate.name === name)?.state ?? 'absent';
}

async function setMode(mode: 'ambient' | 'none'): Promise<void> {
  const ran = await lab.apply(yaml(namespace('shop', { 'aquifer.dev/dataplane-mode': mode })));
  if (ran.code !== 0) throw new Error(ran.stderr);
  const wanted = mode === 'ambient' ? 'enrolled' : 'not_enrolled';
  await until(
    `pods are ${wanted}`,
    async () =>
      (await stateOf('node-1', 'client')) === wanted &&
      (await stateOf('node-1', 'near')) === wanted &&
      (await stateOf('node-2', 'far')) === wanted,
  );
}

test.serial(
  'connections that are open when their namespace becomes ambient live on and are listed as pre-enrolment',
  async (t) => {
    const near = await Held.open(lab, 'shop/client', await lab.address('shop', 'near'), 8080, 2);
    const far = await Held.open(lab, 'shop/client', await lab.address('shop', 'far'), 8080, 2);
    const inbound = await Held.open(lab, 'plain/stranger', await lab.address('shop', 'near'), 8080, 1);
    try {
      await setMode('ambient');
      t.is(await stateOf('node-1', 'opted-out'), 'not_enrolled');
      t.is(await near.ping(), 2);
      t.is(await far.ping(), 2);
      t.is(await inbound.ping(), 1);
      const older = await eventually('they are listed', async () => {
        const found = (await lab.connections('node-1')).filter((connection) => connection.state === 'pre-enrolment');
        return found.length >= 5 ? found : undefined;
      });
      t.true(older.length >= 5);

      const fresh = await Held.open(lab, 'shop/client', await lab.address('shop', 'far'), 8080, 1);
      t.true((await lab.connections('node-1')).some((connection) => connection.state !== 'pre-enrolment'));

      const address = await lab.address('shop', 'client');
      const policy = yaml(
        l4Policy('shop', 'no-client', {
          action: 'Deny',
          selector: { matchLabels: { app: 'far' } },
          rules: [{ from: [{ ipBlocks: [`${address}/32`] }] }],
        }),
      );
      t.is((await lab.apply(policy)).code, 0);
      await far.ended(2);
      await fresh.ended(1);
      t.is(await near.ping(), 2);
      await lab.delete(policy);
    } finally {
      for (const held of [near, far, inbound]) held.kill();
    }
  },
);

test.serial('connections that a policy forbids are aborted when the pod is enrolled', async (t) => {
  await setMode('none');
  const far = await Held.open(lab, 'shop/client', await lab.address('shop', 'far'), 8080, 2);
  const near = await Held.open(lab, 'shop/client', await lab.address('shop', 'near'), 8080, 1);
  const policy = yaml(
    l4Policy('shop', 'no-far', {
      direction: 'Outbound',
      action: 'Deny',
      selector: { matchLabels: { app: 'client' } },
      rules: [{ to: [{ ipBlocks: [`${await lab.address('shop', 'far')}/32`] }] }],
    }),
  );
  try {
    t.is((await lab.apply(policy)).code, 0);
    t.is(await far.ping(), 2);
    await setMode('ambient');
    await far.ended(2);
    t.is(await near.ping(), 1);
  } finally {
    await lab.delete(policy);
    for (const held of [near, far]) held.kill();
  }
});

test.serial(
  'captured connections live on when their namespace leaves the mesh, and new ones are not captured',
  async (t) => {
    await setMode('ambient');
    const far = await Held.open(lab, 'shop/client', await lab.address('shop', 'far'), 8080, 2);
    const near = await Held.open(lab, 'shop/client', await lab.address('shop', 'near'), 8080, 2);
    try {
      await setMode('none');
      t.is(await far.ping(), 2);
      t.is(await near.ping(), 2);
      const captured = (await lab.connections('node-1')).length;
      const fresh = await Held.open(lab, 'shop/client', await lab.address('shop', 'far'), 8080, 1);
      t.is((await lab.connections('node-1')).length, captured);
      fresh.kill();
    } finally {
      for (const held of [near, far]) held.kill();
    }
  },
);

test.serial('ten switches in a row end in the mode asked for last, with nothing lost on the way', async (t) => {
  const near = await Held.open(lab, 'shop/client', await lab.address('shop', 'near'), 8080, 1);
  try {
    for (let i = 0; i < 5; i++) {
      await setMode('ambient');
      await setMode('none');
    }
    t.is(await near.ping(), 1);
  } finally {
    near.kill();
  }
});

test.serial('a pod that is created in an ambient namespace is enrolled before its program starts', async (t) => {
  await setMode('ambient');
  const made = yaml(
    pod('shop', 'early', {
      node: 'node-1',
      command: [
        'bash',
        '-c',
        `exec 3<>/dev/tcp/${await lab.address('shop', 'far')}/8080; read -r line <&3; echo "got $line"; sleep infinity`,
      ],
    }),
  );
  t.is((await lab.apply(made)).code, 0);
  await until('it called at once', async () =>
    (await lab.cli(['lab', 'logs', 'shop/early'])).stdout.includes('got far'),
  );
  const log = await lab.cli(['lab', 'logs', 'agent/node-1']);
  const live = await lab.connections('node-1');
  t.true(
    live.some((connection) => JSON.stringify(connection).includes('early')) ||
      log.stdout.includes('src.workload="early"'),
  );
  await lab.delete(made);
  await until('it is gone', async () => (await stateOf('node-1', 'early')) === 'absent');
});

test.serial(
  'an ambient namespace label that says none again at once leaves no rule, route or program behind',
  async (t) => {
    await setMode('none');
    const ns = `aq-${lab.name}-shop-client`;
    const { run } = await import('../../support/lab.ts');
    const rules = await run('ip', ['-n', ns, 'rule']);
    t.notRegex(rules.stdout, /4151/i);
    t.is(
      (await lab.agent<Record<string, unknown>[]>('node-1', '/pods')).filter((entry) => entry.state === 'enrolled')
        .length,
      0,
    );
  },
);
