/** Wrong manifests: the error names file or object, line, field and reason, the exit code tells, and the good state stays in force. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '../../support/eventually.ts';
import { Lab } from '../../support/lab.ts';
import { ambient, echo, l4Policy, pod, serviceAccount, yaml } from '../../support/manifests.ts';

let lab: Lab;

const good = l4Policy('shop', 'p', {
  action: 'Deny',
  selector: { matchLabels: { app: 'db' } },
  rules: [{ from: [{ serviceAccounts: ['shop/cart'] }] }],
});

test.before(async () => {
  lab = await Lab.up(
    'badinput',
    yaml(
      ambient('shop'),
      serviceAccount('shop', 'cart'),
      pod('shop', 'web', { node: 'node-1' }),
      pod('shop', 'cart', { node: 'node-1', serviceAccount: 'cart' }),
      pod('shop', 'db', { node: 'node-1', ...echo(5432) }),
    ),
  );
  const ran = await lab.apply(yaml(good));
  if (ran.code !== 0) throw new Error(ran.stderr);
  await until('the policy is in force', async () => !(await answers('shop/cart')));
});

test.after.always(async () => {
  await lab?.down();
});

async function answers(from: string): Promise<boolean> {
  const ran = await lab.exec(from, ['ncat', '-w', '3', await lab.address('shop', 'db'), '5432'], {
    input: 'hello\n',
    timeoutMs: 10_000,
  });
  return ran.stdout.endsWith('hello\n');
}

const head = 'apiVersion: aquifer.dev/v1alpha1\nkind: L4Policy\nmetadata: {name: p, namespace: shop}\n';

const CASES: [title: string, manifest: string, says: RegExp[]][] = [
  ['malformed YAML', `${head}spec:\n  action: [Allow\n`, [/line \d|:\d+/]],
  [
    'an unknown field',
    `${head}spec:\n  action: Deny\n  selectr: {matchLabels: {app: db}}\n`,
    [/selectr/, /selector/, /:6|line 6/],
  ],
  ['an L7 field', `${head}spec:\n  action: Deny\n  rules:\n  - to: [{methods: [POST]}]\n`, [/methods/, /L7Policy/]],
  [
    'a bad port',
    `${head}spec:\n  action: Deny\n  rules:\n  - to:\n    - ports: [70000]\n`,
    [/70000/, /ports/, /65535/],
  ],
  ['a backward port range', `${head}spec:\n  action: Deny\n  rules:\n  - to: [{ports: ["90-80"]}]\n`, [/90-80/]],
  [
    'a bad CIDR',
    `${head}spec:\n  action: Deny\n  rules:\n  - from: [{ipBlocks: ["10.0.0.0/33"]}]\n`,
    [/10\.0\.0\.0\/33/, /ipBlocks/],
  ],
  ['a bad action', `${head}spec:\n  action: Permit\n`, [/Permit/, /Allow/, /Deny/]],
  [
    'selector and targetRefs at once',
    `${head}spec:\n  action: Deny\n  selector: {matchLabels: {app: db}}\n  targetRefs: [{group: "", kind: Service, name: db}]\n`,
    [/targetRefs/, /selector/],
  ],
  [
    'a kind that is not supported',
    'apiVersion: aquifer.dev/v1alpha1\nkind: L5Policy\nmetadata: {name: p, namespace: shop}\nspec: {}\n',
    [/L5Policy/, /L4Policy/],
  ],
  ['two objects of one name', `${yaml(good)}---\n${yaml(good)}`, [/L4Policy p/, /line 1/]],
];

for (const [title, manifest, says] of CASES) {
  test.serial(`apply refuses ${title}, says where and why, and keeps the last good version`, async (t) => {
    const ran = await lab.apply(manifest);
    t.is(ran.code, 1, ran.stdout + ran.stderr);
    for (const pattern of says) t.regex(ran.stderr + ran.stdout, pattern);
    t.false(await answers('shop/cart'), 'the good policy is still in force');
    t.true(await answers('shop/web'));
  });
}

test.serial('one bad object in a file of many: nothing of it is applied', async (t) => {
  const ran = await lab.apply(
    `${yaml(l4Policy('shop', 'all', { action: 'Deny', rules: [{}] }))}---\n${head}spec: {action: Nope}\n`,
  );
  t.is(ran.code, 1);
  const { items } = await lab.controller<{ items: unknown[] }>('/v1/objects?kind=L4Policy&namespace=shop&name=all');
  t.deepEqual(items, []);
});

test.serial(
  'a file of the watched directory that becomes invalid is reported in lab status, and its last good version counts',
  async (t) => {
    const file = join(lab.manifests, 'policy.yaml');
    const policy = l4Policy('shop', 'from-file', {
      action: 'Deny',
      selector: { matchLabels: { app: 'db' } },
      rules: [{ from: [{ serviceAccounts: ['shop/default'] }] }],
    });
    writeFileSync(file, yaml(policy));
    await until('it is in force', async () => !(await answers('shop/web')));
    writeFileSync(file, yaml(policy).replace('Deny', 'Dney'));
    await until('lab status tells', async () => {
      const status = await lab.cli(['lab', 'status']);
      return /policy\.yaml/.test(status.stdout) && /Dney/.test(status.stdout);
    });
    t.false(await answers('shop/web'));
    writeFileSync(file, yaml(policy).replace('shop/default', 'shop/nobody'));
    await until('mended', () => answers('shop/web'));
    const status = await lab.cli(['lab', 'status']);
    t.notRegex(status.stdout, /Dney/);
  },
);

test.serial('a selector that matches nothing is applied with a warning', async (t) => {
  const ran = await lab.apply(
    yaml(l4Policy('shop', 'nobody', { action: 'Deny', selector: { matchLabels: { app: 'nothing' } }, rules: [{}] })),
  );
  t.is(ran.code, 0);
  t.regex(ran.stdout + ran.stderr, /warning.*selects no pod/);
  await lab.delete(yaml(l4Policy('shop', 'nobody', {})));
});

test.serial(
  'a policy that cannot be judged as written takes its safe effect, says so in its status, and apply exits non-zero',
  async (t) => {
    const policy = yaml(
      l4Policy('shop', 'egress', {
        direction: 'Outbound',
        action: 'Allow',
        selector: { matchLabels: { app: 'web' } },
        rules: [{ to: [{ hosts: ['example.com'] }] }],
      }),
    );
    const ran = await lab.apply(policy);
    t.is(ran.code, 1, ran.stdout + ran.stderr);
    t.regex(ran.stdout + ran.stderr, /example\.com/);
    await until('the default-deny holds', async () => !(await answers('shop/web')));
    const got = await lab.cli(['get', 'l4policy', 'egress', '-n', 'shop', '-o', 'yaml']);
    t.regex(got.stdout, /Enforced/);
    await lab.delete(policy);
    await until('web is free again', () => answers('shop/web'));
  },
);

test.serial('lab verbs name what is wrong and what may have been meant', async (t) => {
  for (const [args, says] of [
    [['lab', 'exec', 'shop/wbe', '--', 'true'], /wbe.*web|web.*wbe/s],
    [['lab', 'restart', 'agent/node-9'], /node-9/],
    [['lab', 'up', '--detach'], /already/],
    [['get', 'l4polcy'], /l4polcy/],
    [['aply'], /apply/],
  ] as const) {
    const ran = await lab.cli([...args]);
    t.not(ran.code, 0, args.join(' '));
    t.regex(ran.stderr + ran.stdout, says, args.join(' '));
  }
});
