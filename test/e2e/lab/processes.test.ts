import { readFileSync } from 'node:fs';
import test from 'ava';
import { eventually } from '../../support/eventually.ts';
import { Lab } from '../../support/lab.ts';
import { ambient, echo, pod, service, yaml } from '../../support/manifests.ts';

let lab: Lab;

test.before(async () => {
  const manifests = yaml(
    ambient('a'),
    pod('a', 'server', echo(8080)),
    service('a', 'server', [{ port: 80, targetPort: 8080 }]),
    pod('a', 'caller'),
  );
  lab = await Lab.up('proc', manifests, ['--nodes', '1']);
});
test.after.always(() => lab?.down());

function pid(of: string): number {
  const record = JSON.parse(readFileSync(`${lab.directory}/lab.json`, 'utf8')) as { pids: Record<string, number> };
  const found = record.pids[of];
  if (found === undefined) throw new Error(`no pid of ${of}`);
  return found;
}

async function calls(): Promise<boolean> {
  return (await lab.exec('a/caller', ['timeout', '3', 'bash', '-c', 'read line < /dev/tcp/server/80'])).code === 0;
}

async function phaseOf(name: string): Promise<string> {
  const ran = await lab.cli(['lab', 'status', '-o', 'json']);
  const { pods } = JSON.parse(ran.stdout) as { pods: { name: string; phase: string; reason: string | null }[] };
  const found = pods.find((row) => row.name === name);
  return found === undefined ? 'none' : `${found.phase} ${found.reason ?? ''}`.trim();
}

test.serial('no container of an enrolled pod starts before its agent holds it', async (t) => {
  process.kill(pid('agent/node-1'), 'SIGSTOP');
  try {
    t.is((await lab.apply(yaml(pod('a', 'gated')))).code, 0);
    await eventually('it waits', async () =>
      (await phaseOf('gated')) === 'Pending ContainerCreating' ? true : undefined,
    );
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    t.is(await phaseOf('gated'), 'Pending ContainerCreating');
    const early = await lab.exec('a/gated', ['true']);
    t.is(early.code, 1);
    t.regex(early.stderr, /does not run: ContainerCreating/);
  } finally {
    process.kill(pid('agent/node-1'), 'SIGCONT');
  }
  await eventually('it runs', async () => ((await phaseOf('gated')) === 'Running' ? true : undefined), 30_000);
});

test.serial('an agent is restarted by its successor, and by a kill', async (t) => {
  const first = pid('agent/node-1');
  const graceful = await lab.cli(['lab', 'restart', 'agent/node-1']);
  t.is(graceful.code, 0, graceful.stderr);
  t.not(pid('agent/node-1'), first);
  t.true(await calls());
  const second = pid('agent/node-1');
  const killed = await lab.cli(['lab', 'restart', 'agent/node-1', '--kill']);
  t.is(killed.code, 0, killed.stderr);
  t.not(pid('agent/node-1'), second);
  t.true(await calls());
});

test.serial('an agent that crashes is restarted and the log says so', async (t) => {
  const crashed = pid('agent/node-1');
  process.kill(crashed, 'SIGKILL');
  await eventually('another one runs', () => {
    try {
      return pid('agent/node-1') === crashed ? undefined : true;
    } catch {
      return undefined;
    }
  });
  await eventually('it forwards', async () => ((await calls()) ? true : undefined));
  const log = await lab.cli(['lab', 'logs', 'supervisor']);
  t.regex(log.stdout, /agent\/node-1 ended: SIGKILL; it starts again in 1000 ms/);
});

test.serial('traffic and pods go on while the controller is stopped, and status says that it is', async (t) => {
  t.is((await lab.cli(['lab', 'stop', 'controller'])).code, 0);
  t.true(await calls());
  const status = await lab.cli(['lab', 'status']);
  t.is(status.code, 1);
  t.regex(status.stdout, /the controller is stopped/);
  t.is((await lab.cli(['lab', 'start', 'controller'])).code, 0);
  t.is((await lab.apply(yaml(pod('a', 'afterwards')))).code, 0);
  await eventually('a new pod runs', async () => ((await phaseOf('afterwards')) === 'Running' ? true : undefined));
});

test.serial('what cannot be restarted is named', async (t) => {
  const ran = await lab.cli(['lab', 'restart', 'agent/node-7']);
  t.is(ran.code, 1);
  t.regex(ran.stderr, /has no "agent\/node-7"[\s\S]*agent\/node-1/);
});
