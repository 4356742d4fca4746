import test from 'ava';
import { eventually } from '../../support/eventually.ts';
import { Lab } from '../../support/lab.ts';
import { deployment, echo, type Manifest, namespace, pod, program, yaml } from '../../support/manifests.ts';

let lab: Lab;

test.before(async () => {
  lab = await Lab.up(
    'pods',
    yaml(namespace('a'), pod('a', 'box', { container: { env: [{ name: 'X', value: 'one' }] } })),
    ['--no-agent', '--nodes', '1'],
  );
});
test.after.always(() => lab?.down());

interface Row {
  namespace: string;
  name: string;
  ready: boolean;
  restarts: number;
  reason: string | null;
  message: string | null;
  phase: string;
}

async function rows(): Promise<Row[]> {
  const ran = await lab.cli(['lab', 'status', '-o', 'json']);
  return (JSON.parse(ran.stdout) as { pods: Row[] }).pods;
}

function when(what: string, name: string, holds: (row: Row) => boolean): Promise<Row> {
  return eventually(what, async () => (await rows()).find((row) => row.name === name && holds(row)), 30_000);
}

async function applied(...documents: Manifest[]): Promise<void> {
  const ran = await lab.apply(yaml(...documents));
  if (ran.code !== 0) throw new Error(ran.stderr);
}

test('exec passes the exit code, the streams and the environment of the container', async (t) => {
  t.is((await lab.exec('a/box', ['sh', '-c', 'exit 42'])).code, 42);
  const cat = await lab.exec('a/box', ['cat'], { input: 'in and out' });
  t.is(cat.stdout, 'in and out');
  t.is((await lab.exec('a/box', ['sh', '-c', 'echo $X >&2'])).stderr, 'one\n');
  t.is((await lab.exec('a/box', ['sh', '-c', 'kill -9 $$'])).code, 137);
  t.is((await lab.exec('a/box', ['no-such-program'])).code, 127);
});

test('exec runs in the pod: its network, cgroup, names, capabilities, and no sight of the lab', async (t) => {
  const script =
    'hostname; cat /etc/resolv.conf; tail -1 /proc/self/cgroup; grep CapEff /proc/self/status; ls /run/aquifer; ip -br addr';
  const { stdout } = await lab.exec('a/box', ['sh', '-c', script]);
  t.regex(stdout, /^box\n/);
  t.regex(stdout, /search a\.svc\.cluster\.local svc\.cluster\.local cluster\.local/);
  t.regex(stdout, new RegExp(`0::/aquifer-${lab.name}/node-1/pods/[0-9a-f-]+/main`));
  t.regex(stdout, /CapEff:\s00000000a80425fb/);
  t.regex(stdout, /eth0@if\d+ +UP +10\.244\.1\.\d+\/32 fd00:10:244:1::/);
  t.notRegex(stdout, new RegExp(`^${lab.name}$`, 'm'));
  const privileged = await lab.cli([
    'lab',
    'exec',
    '--privileged',
    'a/box',
    '--',
    'grep',
    'CapEff',
    '/proc/self/status',
  ]);
  t.notRegex(privileged.stdout, /a80425fb/);
});

test('a pod that is not there is refused with near names', async (t) => {
  const ran = await lab.exec('a/bix', ['true']);
  t.is(ran.code, 1);
  t.regex(ran.stderr, /did you mean a\/box/);
});

test('readiness follows its probe', async (t) => {
  const probe = {
    exec: { command: ['test', '-e', '/tmp/aquifer-ready-$(NAME)'] },
    periodSeconds: 1,
    failureThreshold: 1,
  };
  const flag = `/tmp/aquifer-ready-${lab.name}`;
  probe.exec.command = ['test', '-e', flag];
  await applied(pod('a', 'gated', { container: { readinessProbe: probe } }));
  await when('it runs', 'gated', (row) => row.phase === 'Running');
  t.false((await when('it is there', 'gated', () => true)).ready);
  await lab.exec('a/gated', ['touch', flag]);
  await when('it is ready', 'gated', (row) => row.ready);
  await lab.exec('a/gated', ['rm', flag]);
  t.is((await when('it is not ready any more', 'gated', (row) => !row.ready)).phase, 'Running');
});

test('http and tcp probes reach the pod from its node', async (t) => {
  const http = { readinessProbe: { httpGet: { path: '/', port: 'web' }, periodSeconds: 1 } };
  const node = process.execPath;
  const server = "require('node:http').createServer((q, s) => s.end(q.socket.remoteAddress)).listen(8081)";
  await applied(
    pod('a', 'viahttp', {
      command: [node, '-e', server],
      ports: [{ name: 'web', containerPort: 8081 }],
      container: http,
    }),
    pod('a', 'viatcp', echo(8082)),
  );
  t.is((await when('http', 'viahttp', (row) => row.ready)).restarts, 0);
  t.is((await when('tcp', 'viatcp', (row) => row.ready)).restarts, 0);
});

test('a failing liveness probe restarts the container', async (t) => {
  const liveness = { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 1 };
  await applied(pod('a', 'sickly', { container: { livenessProbe: liveness } }));
  t.true((await when('it restarted', 'sickly', (row) => row.restarts > 0)).restarts > 0);
});

test('a container that ends is restarted with growing pauses, and its log is kept', async (t) => {
  await applied(pod('a', 'crasher', { command: ['sh', '-c', 'echo once; exit 3'] }));
  const row = await when('it is in back-off', 'crasher', (one) => one.reason === 'CrashLoopBackOff');
  t.regex(row.message ?? '', /exit 3/);
  const logs = await lab.cli(['lab', 'logs', 'a/crasher']);
  t.true(logs.stdout.split('once').length > 2);
});

test('restartPolicy Never ends a pod as Succeeded or Failed', async (t) => {
  const once = (code: number) => ({ command: ['sh', '-c', `exit ${code}`], spec: { restartPolicy: 'Never' } });
  await applied(pod('a', 'well', once(0)), pod('a', 'ill', once(1)));
  t.is((await when('done', 'well', (row) => row.phase === 'Succeeded')).restarts, 0);
  t.is((await when('failed', 'ill', (row) => row.phase === 'Failed')).restarts, 0);
});

test('init containers run first, in order', async (t) => {
  const file = `/tmp/aquifer-init-${lab.name}`;
  const init = (name: string) => ({ name, command: ['sh', '-c', `echo ${name} >> ${file}`] });
  const main = {
    command: ['sh', '-c', `cat ${file}; rm ${file}; sleep 1000`],
    spec: { initContainers: [init('first'), init('second')] },
  };
  await applied(pod('a', 'phased', main));
  await when('it is ready', 'phased', (row) => row.ready);
  t.is((await lab.cli(['lab', 'logs', 'a/phased'])).stdout, 'first\nsecond\n');
});

test('SIGTERM comes first, SIGKILL when the grace is over, and nothing of the pod stays', async (t) => {
  const polite = pod('a', 'polite', {
    command: ['sh', '-c', 'trap "echo bye; exit 0" TERM; while :; do sleep 0.1; done'],
  });
  const stubborn = pod('a', 'stubborn', {
    command: ['sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done'],
    spec: { terminationGracePeriodSeconds: 1 },
  });
  await applied(polite, stubborn);
  await when('polite', 'polite', (row) => row.ready);
  await when('stubborn', 'stubborn', (row) => row.ready);
  const began = Date.now();
  await lab.delete(yaml(polite, stubborn));
  await eventually('both are gone', async () =>
    (await rows()).some((row) => ['polite', 'stubborn'].includes(row.name)) ? undefined : true,
  );
  t.true(Date.now() - began < 8_000);
});

test('an image that names no program is an error that says what to do', async (t) => {
  await applied({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'noimage', namespace: 'a' },
    spec: { containers: [{ name: 'm', image: 'registry.example/x:1' }] },
  });
  const row = await when('it says why', 'noimage', (one) => one.reason === 'ErrImagePull');
  t.regex(row.message ?? '', /--image registry\.example\/x=COMMAND/);
  const status = await lab.cli(['lab', 'status']);
  t.is(status.code, 1);
  t.regex(status.stdout, /noimage/);
});

test('capabilities, user and working directory of the manifest hold', async (t) => {
  const security = { runAsUser: 65_534, capabilities: { drop: ['ALL'] } };
  const script = 'id -u; pwd; grep CapEff /proc/self/status';
  await applied(
    pod('a', 'nobody', {
      command: ['sh', '-c', `${script}; sleep 1000`],
      container: { securityContext: security, workingDir: '/tmp' },
    }),
  );
  await when('ready', 'nobody', (row) => row.ready);
  const logs = await eventually('it wrote', async () => {
    const ran = await lab.cli(['lab', 'logs', 'a/nobody']);
    return ran.stdout.includes('CapEff') ? ran.stdout : undefined;
  });
  t.regex(logs, /^65534\n\/tmp\nCapEff:\t0000000000000000/);
});

test('a deployment is scaled and rolled without ever missing a replica', async (t) => {
  const server = (version: string) => {
    const { command: _command, ...rest } = echo(9000);
    return deployment('a', 'rolled', 2, {
      ...rest,
      command: program('echo', 9000, version),
      spec: { terminationGracePeriodSeconds: 1 },
    });
  };
  const strict = (manifest: Manifest): Manifest => {
    const spec = manifest.spec as Manifest;
    return { ...manifest, spec: { ...spec, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } } };
  };
  const readyOnes = async (): Promise<Row[]> =>
    (await rows()).filter((row) => row.name.startsWith('rolled-') && row.ready);
  await applied(strict(server('one')));
  const before = await eventually('two replicas', async () =>
    (await readyOnes()).length === 2 ? await readyOnes() : undefined,
  );
  await applied(strict(server('two')));
  let least = 2;
  await eventually(
    'all are new',
    async () => {
      const now = await readyOnes();
      least = Math.min(least, now.length);
      return now.length === 2 && now.every((row) => !before.some((old) => old.name === row.name)) ? true : undefined;
    },
    40_000,
  );
  t.is(least, 2);
});
