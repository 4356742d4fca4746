/** Many pods, much traffic and two labs at once: nothing is lost in the crowd. */
import test from 'ava';
import { until } from '../../support/eventually.ts';
import { Lab, type PodState } from '../../support/lab.ts';
import { deployment, echo, l4Policy, namespace, pod, program, service, yaml } from '../../support/manifests.ts';

const REPLICAS = 50;

let lab: Lab;

const fleet = (mode: 'ambient' | 'none') => namespace('fleet', { 'aquifer.dev/dataplane-mode': mode });

test.before(async () => {
  lab = await Lab.up(
    'crowd',
    yaml(
      fleet('none'),
      namespace('plain'),
      deployment('fleet', 'server', REPLICAS, {
        ...echo(8080),
        command: ['ncat', '-lkp', '8080', '-c', 'echo server 1 2; cat'],
      }),
      service('fleet', 'server', [{ port: 80, targetPort: 8080 }]),
      pod('fleet', 'client', { node: 'node-1' }),
      pod('plain', 'stranger', { node: 'node-2' }),
    ),
  );
});

test.after.always(async () => {
  await lab?.down();
});

interface Called {
  calls: number;
  failures: number;
  answeredBy: Record<string, number>;
}

async function load(of: Lab, from: string, host: string, seconds: number): Promise<Called> {
  const ran = await of.exec(from, program('caller', host, 80, seconds, 4), { timeoutMs: (seconds + 30) * 1000 });
  return JSON.parse(ran.stdout) as Called;
}

async function statesOf(of: Lab): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const node of ['node-1', 'node-2']) {
    for (const { namespace: inNamespace, state } of await of.agent<PodState[]>(node, '/pods')) {
      if (inNamespace === 'fleet') counts[state] = (counts[state] ?? 0) + 1;
    }
  }
  return counts;
}

test.serial('fifty pods join and leave the mesh under load, from inside and outside, and no call fails', async (t) => {
  for (const [mode, state] of [
    ['ambient', 'enrolled'],
    ['none', 'not_enrolled'],
    ['ambient', 'enrolled'],
  ] as const) {
    const loads = ['fleet/client', 'plain/stranger'].map((from) => load(lab, from, 'server.fleet', 3));
    t.is((await lab.apply(yaml(fleet(mode)))).code, 0);
    await until(`all are ${state}`, async () => (await statesOf(lab))[state] === REPLICAS + 1);
    for (const result of await Promise.all(loads)) {
      t.true(result.calls > 100, `${mode}: ${JSON.stringify(result)}`);
      t.is(result.failures, 0, `${mode}: ${JSON.stringify(result)}`);
    }
  }
});

test.serial('a second lab with the same names, addresses and nodes does not meet the first', async (t) => {
  const loading = load(lab, 'fleet/client', 'server.fleet', 6);
  const other = await Lab.up(
    'crowdb',
    yaml(
      fleet('ambient'),
      pod('fleet', 'server', { node: 'node-1', ...echo(8080, 'second') }),
      service('fleet', 'server', [{ port: 80, targetPort: 8080 }]),
      pod('fleet', 'client', { node: 'node-1' }),
    ),
    ['--nodes', '1'],
  );
  try {
    t.deepEqual(Object.keys((await load(other, 'fleet/client', 'server.fleet', 0.2)).answeredBy), ['second']);
    const nobody = yaml(l4Policy('fleet', 'nobody', { action: 'Deny', rules: [{}] }));
    t.is((await other.apply(nobody)).code, 0);
    await until('the second refuses', async () => {
      const result = await load(other, 'fleet/client', 'server.fleet', 0.1);
      return result.failures === result.calls;
    });
    t.is((await load(lab, 'fleet/client', 'server.fleet', 0.2)).failures, 0, 'the first has no such policy');
  } finally {
    await other.down();
  }
  const result = await loading;
  t.is(result.failures, 0, JSON.stringify(result));
  t.deepEqual(Object.keys(result.answeredBy), ['server']);
  t.is(
    (await load(lab, 'plain/stranger', 'server.fleet', 0.2)).failures,
    0,
    'the capture of the first outlives the second',
  );
  t.is((await statesOf(lab)).enrolled, REPLICAS + 1);
});
