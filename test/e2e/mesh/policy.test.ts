/** L4 policies: who may, who may not, and what happens to those who are already in. */
import test from 'ava';
import { until } from '../../support/eventually.ts';
import { Held } from '../../support/held.ts';
import { Lab } from '../../support/lab.ts';
import {
  ambient,
  echo,
  l4Policy,
  type Manifest,
  namespace,
  pod,
  program,
  service,
  serviceAccount,
  yaml,
} from '../../support/manifests.ts';

let lab: Lab;

test.before(async () => {
  lab = await Lab.up(
    'policy',
    yaml(
      ambient('shop'),
      ambient('other'),
      namespace('plain'),
      serviceAccount('shop', 'web'),
      serviceAccount('shop', 'cart'),
      serviceAccount('other', 'web'),
      pod('shop', 'web', { node: 'node-1', serviceAccount: 'web' }),
      pod('shop', 'cart', { node: 'node-1', serviceAccount: 'cart' }),
      pod('other', 'web', { node: 'node-1', serviceAccount: 'web' }),
      pod('plain', 'stranger', { node: 'node-1' }),
      pod('shop', 'db', { node: 'node-1', ...echo(5432) }),
      pod('shop', 'far-db', { node: 'node-2', ...echo(5432) }),
      pod('shop', 'two-ports', {
        node: 'node-1',
        command: ['bash', '-c', `${program('echo', 7001).join(' ')} & ${program('echo', 7002).join(' ')} & wait`],
        container: { readinessProbe: { tcpSocket: { port: 7002 }, periodSeconds: 1 } },
      }),
      service('shop', 'db', [{ port: 5432 }]),
      service('shop', 'far-db', [{ port: 5432 }]),
      service('shop', 'two-ports', [{ port: 7001 }]),
    ),
  );
});

test.after.always(async () => {
  await lab?.down();
});

const CALLERS = ['shop/web', 'shop/cart', 'other/web', 'plain/stranger'];

async function answers(from: string, host: string, port: number): Promise<boolean> {
  const ran = await lab.exec(from, ['ncat', '-w', '3', host, String(port)], { input: 'hello\n', timeoutMs: 15_000 });
  return ran.stdout.endsWith('hello\n');
}

/** With `policies` in force exactly `allowed` of the callers reach host:port; afterwards all do again. */
async function expectAllowed(
  t: { deepEqual(a: unknown, b: unknown, m?: string): void; is(a: unknown, b: unknown, m?: string): void },
  policies: Manifest[],
  host: string,
  port: number,
  allowed: string[],
): Promise<void> {
  const text = yaml(...policies);
  const applied = await lab.apply(text);
  t.is(applied.code, 0, applied.stdout + applied.stderr);
  try {
    await until(
      `only ${allowed.join(', ')} reach ${host}:${port}`,
      async () => {
        const seen = await Promise.all(
          CALLERS.map(async (caller) => ((await answers(caller, host, port)) ? caller : null)),
        );
        return JSON.stringify(seen.filter((caller) => caller !== null)) === JSON.stringify(allowed);
      },
      20_000,
    );
  } finally {
    await lab.delete(text);
  }
  await until(
    'all reach it again',
    async () => (await Promise.all(CALLERS.map((caller) => answers(caller, host, port)))).every(Boolean),
    20_000,
  );
}

const selectsDb = (spec: Manifest) => l4Policy('shop', 'p', { selector: { matchLabels: { app: 'db' } }, ...spec });
const selectsFarDb = (spec: Manifest) =>
  l4Policy('shop', 'p', { selector: { matchLabels: { app: 'far-db' } }, ...spec });

for (const [title, policy, host] of [
  ['same node', selectsDb, 'db.shop'],
  ['across nodes', selectsFarDb, 'far-db.shop'],
] as const) {
  test.serial(`${title}: Allow by service account admits that one only`, async (t) => {
    await expectAllowed(
      t,
      [policy({ action: 'Allow', rules: [{ from: [{ serviceAccounts: ['shop/web'] }] }] })],
      host,
      5432,
      ['shop/web'],
    );
  });

  test.serial(`${title}: Deny by namespace refuses all of it`, async (t) => {
    await expectAllowed(t, [policy({ action: 'Deny', rules: [{ from: [{ namespaces: ['shop'] }] }] })], host, 5432, [
      'other/web',
      'plain/stranger',
    ]);
  });

  test.serial(`${title}: Deny of everyone without an identity refuses plain pods`, async (t) => {
    await expectAllowed(t, [policy({ action: 'Deny', rules: [{ from: [{ notPrincipals: ['*'] }] }] })], host, 5432, [
      'shop/web',
      'shop/cart',
      'other/web',
    ]);
  });
}

test.serial('Allow by principal, with and without spiffe://', async (t) => {
  for (const principal of ['cluster.local/ns/other/sa/web', 'spiffe://cluster.local/ns/other/sa/web']) {
    await expectAllowed(
      t,
      [selectsDb({ action: 'Allow', rules: [{ from: [{ principals: [principal] }] }] })],
      'db.shop',
      5432,
      ['other/web'],
    );
  }
});

test.serial('Allow by address block sees the caller own address', async (t) => {
  const address = await lab.address('plain', 'stranger');
  await expectAllowed(
    t,
    [selectsDb({ action: 'Allow', rules: [{ from: [{ ipBlocks: [`${address}/32`] }] }] })],
    'db.shop',
    5432,
    ['plain/stranger'],
  );
});

test.serial('an Allow with no rules admits nobody; a Deny beats an Allow; two Allows add up', async (t) => {
  await expectAllowed(t, [selectsDb({ action: 'Allow', rules: [] })], 'db.shop', 5432, []);
  const allow = (name: string, serviceAccountName: string) =>
    l4Policy('shop', name, {
      action: 'Allow',
      selector: { matchLabels: { app: 'db' } },
      rules: [{ from: [{ serviceAccounts: [serviceAccountName] }] }],
    });
  await expectAllowed(t, [allow('a', 'shop/web'), allow('b', 'shop/cart')], 'db.shop', 5432, ['shop/web', 'shop/cart']);
  const deny = l4Policy('shop', 'c', { action: 'Deny', rules: [{ from: [{ serviceAccounts: ['shop/cart'] }] }] });
  await expectAllowed(t, [allow('a', 'shop/web'), allow('b', 'shop/cart'), deny], 'db.shop', 5432, ['shop/web']);
});

test.serial('a mesh-wide policy stands in the root namespace', async (t) => {
  const policy = l4Policy('aquifer-system', 'mesh', { action: 'Deny', rules: [{ from: [{ namespaces: ['other'] }] }] });
  await expectAllowed(t, [policy], 'db.shop', 5432, ['shop/web', 'shop/cart', 'plain/stranger']);
});

test.serial(
  'ports are the container ports; a policy with targetRefs concerns the ports of that Service alone',
  async (t) => {
    await expectAllowed(
      t,
      [
        l4Policy('shop', 'p', {
          action: 'Deny',
          selector: { matchLabels: { app: 'two-ports' } },
          rules: [{ to: [{ ports: ['7000-7001'] }] }],
        }),
      ],
      'two-ports.shop',
      7001,
      [],
    );
    const targeted = yaml(
      l4Policy('shop', 'p', {
        action: 'Allow',
        targetRefs: [{ group: '', kind: 'Service', name: 'two-ports' }],
        rules: [{ from: [{ serviceAccounts: ['shop/web'] }] }],
      }),
    );
    t.is((await lab.apply(targeted)).code, 0);
    const host = await lab.address('shop', 'two-ports');
    await until('port 7001 is refused to cart', async () => !(await answers('shop/cart', host, 7001)));
    t.true(await answers('shop/web', host, 7001));
    t.true(await answers('shop/cart', host, 7002));
    await lab.delete(targeted);
  },
);

test.serial('an Outbound policy judges at the source, by Service, address and port', async (t) => {
  const outside = await lab.address('plain', 'stranger');
  const policy = yaml(
    l4Policy('shop', 'egress', {
      direction: 'Outbound',
      action: 'Allow',
      selector: { matchLabels: { app: 'web' } },
      rules: [{ to: [{ services: ['shop/db'] }] }],
    }),
  );
  t.is((await lab.apply(policy)).code, 0);
  await until('web may not reach far-db', async () => !(await answers('shop/web', 'far-db.shop', 5432)));
  t.true(await answers('shop/web', 'db.shop', 5432));
  t.true(await answers('shop/cart', 'far-db.shop', 5432));
  const refused = await lab.exec('shop/web', ['ncat', '-w', '3', outside, '9'], { timeoutMs: 10_000 });
  t.not(refused.code, 0);
  await lab.delete(policy);
  await until('web reaches far-db again', () => answers('shop/web', 'far-db.shop', 5432));
});

test.serial('Audit changes nothing and tells what it would have done', async (t) => {
  const policy = yaml(
    selectsDb({ action: 'Deny', enforcement: 'Audit', rules: [{ from: [{ serviceAccounts: ['shop/cart'] }] }] }),
  );
  t.is((await lab.apply(policy)).code, 0);
  await until('the log names the audit policy', async () => {
    t.true(await answers('shop/cart', 'db.shop', 5432));
    const log = await lab.cli(['lab', 'logs', 'agent/node-1']);
    return log.stdout.split('\n').some((line) => line.includes('src.workload="cart"') && line.includes('shop/p'));
  });
  await lab.delete(policy);
});

test.serial('a refused connection is reset at once, counted and logged with the policy name', async (t) => {
  const policy = yaml(selectsDb({ action: 'Deny', rules: [{ from: [{ serviceAccounts: ['shop/cart'] }] }] }));
  t.is((await lab.apply(policy)).code, 0);
  await until('cart is refused', async () => !(await answers('shop/cart', 'db.shop', 5432)));
  const started = Date.now();
  const ran = await lab.exec('shop/cart', program('caller', 'db.shop', 5432, 0.2));
  t.true(Date.now() - started < 5_000);
  const result = JSON.parse(ran.stdout);
  t.is(result.failures, result.calls);
  t.deepEqual(Object.keys(result.errors), ['ECONNRESET'], ran.stdout);
  await until('log and metric tell it', async () => {
    const log = await lab.cli(['lab', 'logs', 'agent/node-1']);
    const metrics = await lab.metrics('node-1');
    return (
      log.stdout
        .split('\n')
        .some(
          (line) =>
            line.includes('src.workload="cart"') && line.includes('policy="shop/p"') && line.includes('policy_denied'),
        ) &&
      metrics
        .split('\n')
        .some(
          (line) => line.startsWith('istio_tcp_connections_failed_total{') && line.includes('response_flags="DENY"'),
        )
    );
  });
  await lab.delete(policy);
});

for (const [where, host] of [
  ['same node', 'db'],
  ['across nodes', 'far-db'],
] as const) {
  test.serial(`${where}: a policy change closes exactly the live connections that it forbids`, async (t) => {
    const web = await Held.open(lab, 'shop/web', `${host}.shop`, 5432, 3);
    const cart = await Held.open(lab, 'shop/cart', `${host}.shop`, 5432, 3);
    const stranger = await Held.open(lab, 'plain/stranger', await lab.address('shop', host), 5432, 1);
    try {
      const policy = yaml(
        l4Policy('shop', 'p', {
          action: 'Deny',
          selector: { matchLabels: { app: host } },
          rules: [{ from: [{ serviceAccounts: ['shop/cart'] }] }],
        }),
      );
      t.is((await lab.apply(policy)).code, 0);
      t.deepEqual(await cart.ended(3), ['ECONNRESET', 'ECONNRESET', 'ECONNRESET']);
      t.is(await web.ping(), 3);
      t.is(await stranger.ping(), 1);
      await lab.delete(policy);
    } finally {
      for (const held of [web, cart, stranger]) held.kill();
    }
  });
}

test.serial('explain tells the same verdict and rule as the data path', async (t) => {
  const policy = yaml(selectsDb({ action: 'Deny', rules: [{ from: [{ serviceAccounts: ['shop/cart'] }] }] }));
  t.is((await lab.apply(policy)).code, 0);
  const refused = await lab.cli(['explain', '--from', 'shop/cart', '--to', 'shop/db', '--port', '5432']);
  t.regex(refused.stdout, /shop\/p/);
  t.regex(refused.stdout, /refus|den/i);
  const allowed = await lab.cli(['explain', '--from', 'shop/web', '--to', 'shop/db', '--port', '5432']);
  t.regex(allowed.stdout, /allow/i);
  await lab.delete(policy);
});
