/** What is missing is never taken for permission: traffic whose policy or workload has not arrived waits, then is refused. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toBinary } from '@bufbuild/protobuf';
import test from 'ava';
import { decodeState, encodeState, stateFilePath } from '../../../agent/sync/state-file.ts';
import { TYPES } from '../../../agent/sync/types.ts';
import { type Resource, ResourceSchema } from '../../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { loadNative } from '../../../native/index.ts';
import { until } from '../../support/eventually.ts';
import { Lab, run } from '../../support/lab.ts';
import { ambient, echo, l4Policy, pod, program, service, serviceAccount, yaml } from '../../support/manifests.ts';
import { addressBytes } from '../../support/mesh.ts';

/** No other lab of the machine has a Service here, for the program that rewrites it sees all of them. */
const FRONT = '10.96.231.77';
const POLICY = 'shop/no-cart';
const STATE_BYTES = 64 * 1024 * 1024;

let lab: Lab;
/** Asked of the controller while it is there. */
let near: string;
let free: string;

test.before(async () => {
  lab = await Lab.up(
    'await',
    yaml(
      ambient('shop'),
      serviceAccount('shop', 'cart'),
      pod('shop', 'web', { node: 'node-1' }),
      pod('shop', 'cart', { node: 'node-1', serviceAccount: 'cart' }),
      pod('shop', 'near', { node: 'node-1', ...echo(8080) }),
      pod('shop', 'free', { node: 'node-1', ...echo(8080) }),
      service('shop', 'front', [{ port: 80, targetPort: 8080 }], { selector: { app: 'near' }, clusterIP: FRONT }),
      l4Policy('shop', 'no-cart', {
        action: 'Deny',
        selector: { matchLabels: { app: 'near' } },
        rules: [{ from: [{ serviceAccounts: ['shop/cart'] }] }],
      }),
    ),
    ['--nodes', '1', '--set', 'agent.limits.holdTimeMs=300', '--set', 'agent.limits.maintenanceIntervalMs=500'],
  );
  near = await lab.address('shop', 'near');
  free = await lab.address('shop', 'free');
});

test.after.always(async () => {
  await lab?.down();
});

interface Called {
  calls: number;
  failures: number;
  answeredBy: Record<string, number>;
  slowestMs: number;
}

async function call(from: string, host: string, port = 8080): Promise<Called> {
  const ran = await lab.exec(`shop/${from}`, program('caller', host, port, 0.2));
  return JSON.parse(ran.stdout) as Called;
}

async function refusals(reason: string): Promise<number> {
  const line = `aquifer_connections_refused_total{reason="${reason}"} `;
  const metrics = await lab.metrics('node-1');
  return Number(
    metrics
      .split('\n')
      .find((candidate) => candidate.startsWith(line))
      ?.slice(line.length) ?? 0,
  );
}

function stateFile(): string {
  return stateFilePath(`${lab.directory}/nodes/node-1/agent`);
}

/** A new agent that has nothing but `edit` of what the last one knew, and no controller to ask. */
async function startWith(edit: (typeUrl: string, resource: Resource) => Resource | null): Promise<void> {
  await until('the agent has saved the policy', () =>
    decodeState(readFileSync(stateFile())).some(({ resources }) => resources.some(({ name }) => name === POLICY)),
  );
  const stopped = await lab.cli(['lab', 'stop', 'controller']);
  if (stopped.code !== 0) throw new Error(stopped.stderr);
  const resources = decodeState(readFileSync(stateFile())).flatMap(({ typeUrl, resources }) =>
    resources
      .map((resource) => edit(typeUrl, resource))
      .filter((resource) => resource !== null)
      .map((resource) => ({
        typeUrl,
        name: resource.name,
        version: resource.version,
        encoded: toBinary(ResourceSchema, resource),
        holds: { map: 'policies' as const, key: '' },
      })),
  );
  writeFileSync(stateFile(), encodeState(resources, new Set(TYPES), STATE_BYTES));
  const restarted = await lab.cli(['lab', 'restart', 'agent/node-1', '--kill']);
  if (restarted.code !== 0) throw new Error(restarted.stderr);
}

async function controllerComes(): Promise<void> {
  const started = await lab.cli(['lab', 'start', 'controller']);
  if (started.code !== 0) throw new Error(started.stderr);
  await until('web passes', async () => (await call('web', near)).failures === 0);
}

const LATER_FIELD = Buffer.from([0xc0, 0x3e, 0x01]);

for (const [title, edit] of [
  ['that has not arrived', () => null],
  [
    'with a field of a later version',
    (resource: Resource) => {
      if (resource.resource === undefined) throw new Error('the policy has no body');
      resource.resource.value = Buffer.concat([resource.resource.value, LATER_FIELD]);
      return resource;
    },
  ],
] as const) {
  test.serial(`a workload under a policy ${title} gets no connection, for the hold time and after`, async (t) => {
    t.is((await call('web', near)).failures, 0);
    await startWith((_, resource) => (resource.name === POLICY ? edit(resource) : resource));
    try {
      for (const from of ['web', 'cart']) {
        const result = await call(from, near);
        t.deepEqual(result.answeredBy, {});
        t.is(result.failures, result.calls);
        t.true(result.slowestMs >= 290, `it waited for ${result.slowestMs} ms`);
      }
      t.true((await refusals('awaiting_policy')) >= 2);
      t.is((await call('web', free)).failures, 0, 'a workload that has all its policies is reached');
    } finally {
      await controllerComes();
    }
    const cart = await call('cart', near);
    t.deepEqual(cart.answeredBy, {});
    t.true((await refusals('policy_denied')) > 0);
  });
}

test.serial('an agent that knows no workload lets nothing pass, and all when it does', async (t) => {
  await startWith(() => null);
  try {
    const result = await call('web', free);
    t.deepEqual(result.answeredBy, {});
    t.true((await refusals('awaiting_workload')) > 0);
  } finally {
    await controllerComes();
  }
  t.is((await call('web', free)).failures, 0);
});

test.serial(
  'beside a program that rewrites Service addresses the agent judges, and goes, where the app asked to; check names it',
  async (t) => {
    const native = loadNative();
    const directory = mkdtempSync(join(tmpdir(), 'aq-rewrite-'));
    const object = join(directory, 'rewrite.o');
    const source = join(import.meta.dirname, '../../bpf/fixtures/rewrite.bpf.c');
    const include = `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
    execFileSync('clang', ['-g', '-O2', '-target', 'bpf', '-idirafter', include, '-c', source, '-o', object]);
    const word = (address: string) => addressBytes(address).slice(-4);
    const collection = native.loadCollection(readFileSync(object), {
      name: 'rewrite',
      constants: { from_v4: word(FRONT), to_v4: word(free) },
      reuseMaps: {},
      maxEntries: {},
      programs: null,
    });
    const root = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1] ?? '';
    const link = native.attachCgroup(root, collection.program('rewrite4'), 'connect4');
    const policy = yaml(
      l4Policy('shop', 'no-front', {
        direction: 'Outbound',
        action: 'Deny',
        selector: { matchLabels: { app: 'web' } },
        rules: [{ to: [{ services: ['shop/front'] }] }],
      }),
    );
    try {
      const checked = await run(process.execPath, [join(import.meta.dirname, '../../../agent/selftest.ts')]);
      t.is(checked.code, 0, checked.stdout);
      t.regex(checked.stdout, /another connect4 program at .*: rewrite4 .*\n?.*still learns the asked one/);
      await until('the running agent has seen it', async () => {
        const { answeredBy } = await call('web', FRONT, 80);
        return Object.keys(answeredBy).join() === 'near';
      });
      const restarted = await lab.cli(['lab', 'restart', 'agent/node-1']);
      t.is(restarted.code, 0, restarted.stderr);
      const log = await lab.cli(['lab', 'logs', 'agent/node-1']);
      t.regex(log.stdout, /rewrite4.*another connect program is on the path/);
      t.deepEqual(Object.keys((await call('web', FRONT, 80)).answeredBy), ['near']);
      t.is((await lab.apply(policy)).code, 0);
      await until(
        'the Service is refused',
        async () => Object.keys((await call('web', FRONT, 80)).answeredBy).length === 0,
      );
      t.is((await call('web', free)).failures, 0, 'where it was rewritten to is not what the policy names');
    } finally {
      await lab.delete(policy);
      link.close();
      collection.close();
      rmSync(directory, { recursive: true });
    }
  },
);
