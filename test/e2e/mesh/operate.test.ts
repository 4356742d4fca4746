/** What an operator sees of a mesh that runs: connections as they come, what is in force where, and what is wrong. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { eventually, until } from '../../support/eventually.ts';
import { Held } from '../../support/held.ts';
import { type Flow, Lab, type PodState, run } from '../../support/lab.ts';
import { ambient, echo, l4Policy, namespace, pod, program, serviceAccount, yaml } from '../../support/manifests.ts';

const CLI = join(import.meta.dirname, '../../../controller/cli/main.ts');
const TCP = ['/usr/bin/python3', join(import.meta.dirname, '../../support/tcp.py')];

let lab: Lab;

test.before(async () => {
  lab = await Lab.up(
    'operate',
    yaml(
      ambient('shop'),
      ambient('bank'),
      namespace('plain'),
      serviceAccount('shop', 'cart'),
      pod('shop', 'web', { node: 'node-1' }),
      pod('shop', 'cart', { node: 'node-1', serviceAccount: 'cart' }),
      pod('shop', 'near', { node: 'node-1', ...echo(8080) }),
      pod('shop', 'far', { node: 'node-2', ...echo(8080) }),
      pod('bank', 'vault', { node: 'node-2', ...echo(8080) }),
      pod('bank', 'teller', { node: 'node-2' }),
      l4Policy('shop', 'no-cart', {
        action: 'Deny',
        rules: [{ from: [{ serviceAccounts: ['shop/cart'] }] }],
      }),
    ),
  );
});

test.after.always(async () => {
  await lab?.down();
});

async function call(from: string, to: string): Promise<{ calls: number; failures: number }> {
  const [inNamespace = '', name = ''] = to.split('/');
  const address = await lab.address(inNamespace, name);
  return JSON.parse((await lab.exec(from, program('caller', address, 8080, 0.1))).stdout);
}

/** `aquifer observe` beside the test. */
class Observed {
  readonly #child: ChildProcess;
  text = '';

  constructor(...args: string[]) {
    this.#child = spawn(process.execPath, [CLI, 'observe', '--lab', lab.name, ...args], {
      env: { ...process.env, NO_COLOR: '1' },
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.text += chunk;
    });
  }

  get flows(): Flow[] {
    return this.text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Flow);
  }

  kill(): void {
    this.#child.kill('SIGINT');
  }
}

test.serial('observe shows the connections that its filters name, of all nodes, and no other', async (t) => {
  const all = new Observed('-o', 'json');
  const bank = new Observed('-o', 'json', '-n', 'bank');
  const near = new Observed('-o', 'json', '--pod', 'shop/near');
  const denied = new Observed('--verdict', 'denied');
  const observers = [all, bank, near, denied];
  const round = async (): Promise<void> => {
    for (const to of ['shop/near', 'shop/far']) t.is((await call('shop/web', to)).failures, 0);
    t.is((await call('bank/teller', 'bank/vault')).failures, 0);
    const cart = await call('shop/cart', 'shop/far');
    t.is(cart.failures, cart.calls);
  };
  try {
    await until('all of them follow both agents', async () => {
      await round();
      return (
        observers.every(({ text }) => text.includes('\n')) && new Set(all.flows.map((flow) => flow.node)).size === 2
      );
    });
    const pairs = (observed: Observed) =>
      [...new Set(observed.flows.map((flow) => `${flow['src.workload']} ${flow['dst.workload']}`))].sort();
    await until('all pairs were seen', () => pairs(all).length >= 4);
    t.deepEqual(pairs(all), ['cart far', 'teller vault', 'web far', 'web near']);
    t.deepEqual(pairs(bank), ['teller vault']);
    t.deepEqual(pairs(near), ['web near']);
    t.deepEqual([...new Set(all.flows.map((flow) => flow.event))].sort(), ['end', 'open', 'refused']);
    for (const line of denied.text.split('\n').slice(0, -1)) {
      t.regex(line, /DENIED {2}shop\/cart → shop\/far:8080 .*policy=shop\/no-cart reason=policy_denied/);
    }
  } finally {
    for (const observed of observers) observed.kill();
  }
});

/** The echo servers in the pod's own cgroup: pods share the machine's process ids, so a name would say too much. */
function serversOf(name: string): number[] {
  const directory = `${lab.directory}/nodes/node-2/pods`;
  const files = readdirSync(directory).map((file) => JSON.parse(readFileSync(join(directory, file), 'utf8')));
  const { cgroup } = files.find((file) => file.name === name) as { cgroup: string };
  const procs = readdirSync(cgroup, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('cgroup.procs'),
  );
  return procs
    .flatMap((path) => readFileSync(join(cgroup, path), 'utf8').split('\n'))
    .filter((pid) => pid !== '' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('echo.ts'))
    .map(Number);
}

interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
}

async function enforced(name: string): Promise<Condition | undefined> {
  const { items } = await lab.controller<{ items: { status?: { conditions?: Condition[] } }[] }>(
    `/v1/objects?kind=L4Policy&namespace=shop&name=${name}`,
  );
  return items[0]?.status?.conditions?.find(({ type }) => type === 'Enforced');
}

test.serial(
  'a policy says on how many nodes it is in force, and counts an agent only when it has confirmed',
  async (t) => {
    await until('it is in force', async () => (await enforced('no-cart'))?.message === 'in force on 2 of 2 nodes');
    t.is((await enforced('no-cart'))?.status, 'True');
    const { pid } = await lab.agent<{ pid: number }>('node-2', '/version');
    process.kill(pid, 'SIGSTOP');
    const policy = yaml(
      l4Policy('shop', 'no-teller', { action: 'Deny', rules: [{ from: [{ namespaces: ['bank'] }] }] }),
    );
    try {
      t.is((await lab.apply(policy)).code, 0);
      await until('one has it', async () => (await enforced('no-teller'))?.message === 'in force on 1 of 2 nodes');
      t.like(await enforced('no-teller'), { status: 'False', reason: 'Pending' });
      const got = await lab.cli(['get', 'l4policy', 'no-teller', '-n', 'shop']);
      t.regex(got.stdout, /1 of 2 nodes/);
      const status = await lab.cli(['lab', 'status']);
      t.is(status.code, 1, status.stdout);
      t.regex(status.stdout, /agent\/node-2 does not answer/);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until('both have it', async () => (await enforced('no-teller'))?.message === 'in force on 2 of 2 nodes');
    await lab.delete(policy);
  },
);

test.serial('MPTCP is judged as TCP is', async (t) => {
  for (const name of ['near', 'far']) {
    const command = [...TCP, 'connect', await lab.address('shop', name), '8080', '--mptcp'];
    t.regex((await lab.exec('shop/web', command)).stdout, /"data": "\w+ .*hello/);
    const refused = await lab.exec('shop/cart', command);
    t.notRegex(refused.stdout, /hello/);
  }
});

test.serial(
  'a container that exits in an enrolled pod ends its connections; the next one serves, still enrolled',
  async (t) => {
    const held = await Held.open(lab, 'shop/web', await lab.address('shop', 'far'), 8080, 3);
    try {
      const servers = serversOf('far');
      t.is(servers.length, 1);
      for (const pid of servers) process.kill(pid, 'SIGKILL');
      t.is((await held.ended(3)).length, 3);
    } finally {
      held.kill();
    }
    await until('the next one serves', async () => (await call('shop/web', 'shop/far')).failures === 0, 30_000);
    const cart = await call('shop/cart', 'shop/far');
    t.is(cart.failures, cart.calls);
  },
);

test.serial('a pod that exits for good while it is enrolled leaves nothing with the agent', async (t) => {
  const before = await lab.agent<PodState[]>('node-1', '/pods');
  const job = yaml(
    pod('shop', 'job', {
      node: 'node-1',
      command: ['sh', '-c', 'read -r _ </tmp/never || exit 3'],
      spec: { restartPolicy: 'Never' },
    }),
  );
  await lab.apply(job);
  await until('lab status tells how it ended', async () =>
    /shop\/job .*(Error|Failed)/.test((await lab.cli(['lab', 'status'])).stdout),
  );
  await lab.delete(job);
  await until('the agent has forgotten it', async () => {
    const pods = await lab.agent<PodState[]>('node-1', '/pods');
    return pods.length === before.length && pods.every(({ state }) => state === 'enrolled');
  });
  t.is((await call('shop/web', 'shop/near')).failures, 0);
});

test.serial('lab status names each thing that is wrong, exits 1, and is content again when it is mended', async (t) => {
  const status = async () => await lab.cli(['lab', 'status']);
  await until('all is well', async () => (await status()).code === 0);
  const broken = yaml(
    pod('shop', 'broken', { node: 'node-1', command: ['/no/such/program'] }),
    pod('shop', 'nowhere', { node: 'node-9' }),
    pod('shop', 'unready', {
      node: 'node-1',
      container: { readinessProbe: { tcpSocket: { port: 1 }, periodSeconds: 1 } },
    }),
  );
  await lab.apply(broken);
  const file = join(lab.manifests, 'wrong.yaml');
  writeFileSync(file, 'apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec: {containers: 7}\n');
  const { pid } = await lab.agent<{ pid: number }>('node-2', '/version');
  process.kill(pid, 'SIGKILL');
  const all = [
    /pod shop\/broken: exit 127; .*see its log/,
    /node-9/,
    /shop\/unready .*Running/,
    /wrong\.yaml:\d+/,
    /restarted 1 times, last SIGKILL/,
  ];
  const told = await eventually('all of it is told', async () => {
    const ran = await status();
    const missing = all.filter((pattern) => !pattern.test(ran.stdout));
    if (missing.length > 0) throw new Error(`${missing.join(' ')} in\n${ran.stdout}`);
    return ran;
  });
  t.is(told.code, 1);
  t.regex((await lab.cli(['lab', 'logs', 'shop/broken'])).stdout, /\/no\/such\/program/);
  await lab.delete(broken);
  rmSync(file);
  await until('all is well again', async () => (await status()).code === 0);
  const down = await lab.cli(['lab', 'stop', 'controller']);
  t.is(down.code, 0);
  t.regex((await status()).stdout, /the controller is stopped/);
  t.is((await lab.cli(['lab', 'start', 'controller'])).code, 0);
});

test.serial('status, exec and restart of a lab that is not up say so; list tells which are', async (t) => {
  for (const [verb, ...rest] of [['status'], ['exec', 'shop/web', '--', 'true'], ['restart', 'agent/node-1']]) {
    const ran = await run(process.execPath, [CLI, 'lab', verb ?? '', '--name', `${lab.name}not`, ...rest]);
    t.is(ran.code, 1, verb);
    t.regex(ran.stderr, new RegExp(`no lab named "${lab.name}not" is up[\\s\\S]*aquifer lab list`), verb);
  }
  t.regex((await lab.cli(['lab', 'list'])).stdout, new RegExp(`^${lab.name} +up +2 `, 'm'));
});
