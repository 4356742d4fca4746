import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { eventually } from '../../support/eventually.ts';
import { Lab } from '../../support/lab.ts';
import { hostNetwork, killAll, leftoversOf, nothingLeft, processesOf } from '../../support/leftovers.ts';
import { ambient, echo, namespace, pod, service, yaml } from '../../support/manifests.ts';

const LAB_CLI = join(import.meta.dirname, '../../../deploy/lab/cli.ts');
const MANIFESTS = yaml(
  ambient('shop'),
  namespace('plain'),
  pod('shop', 'web', echo(8080)),
  service('shop', 'web', [{ port: 80, targetPort: 8080 }]),
  pod('plain', 'caller'),
);

test.serial('a lab that went up and down leaves nothing behind', async (t) => {
  const host = hostNetwork();
  const lab = await Lab.up('lifea', MANIFESTS);
  t.teardown(() => lab.down());
  t.true(leftoversOf(lab.name).netns.length >= 5);
  t.true(processesOf(lab.name).length >= 6);
  t.is(hostNetwork(), host, 'the host network is untouched while the lab is up');
  await lab.down();
  t.deepEqual(leftoversOf(lab.name), nothingLeft());
  t.is(hostNetwork(), host);
});

test.serial('down removes everything after a kill -9 of every process of the lab', async (t) => {
  const lab = await Lab.up('lifeb', MANIFESTS);
  t.teardown(() => lab.down());
  killAll(lab.name);
  await eventually('all of them have ended', () => (processesOf(lab.name).length === 0 ? true : undefined));
  t.true(leftoversOf(lab.name).netns.length > 0);
  await lab.down();
  t.deepEqual(leftoversOf(lab.name), nothingLeft());
});

test.serial('down removes half a lab, and is content with none', async (t) => {
  const lab = await Lab.up('lifec', MANIFESTS, ['--no-agent']);
  t.teardown(() => lab.down());
  rmSync(lab.directory, { recursive: true });
  spawnSync('ip', ['netns', 'del', `aq-${lab.name}-fabric`]);
  await lab.down();
  t.deepEqual(leftoversOf(lab.name), nothingLeft());
  const again = await lab.cli(['lab', 'down']);
  t.is(again.code, 0);
  t.regex(again.stdout, /there is no lab/);
});

test.serial('up comes up over what a dead lab left', async (t) => {
  const lab = await Lab.up('lifed', MANIFESTS, ['--no-agent']);
  t.teardown(() => lab.down());
  killAll(lab.name);
  const again = await lab.cli(['lab', 'up', '--detach', '--no-agent', '--nodes', '1']);
  t.is(again.code, 0, again.stdout + again.stderr);
});

test.serial('a name that is taken is refused, and the lab that has it goes on', async (t) => {
  const lab = await Lab.up('lifee', MANIFESTS, ['--no-agent', '--nodes', '1']);
  t.teardown(() => lab.down());
  const second = await lab.cli(['lab', 'up', '--detach']);
  t.is(second.code, 1);
  t.regex(second.stdout, /is up already/);
  t.is((await lab.exec('shop/web', ['true'])).code, 0);
});

test.serial('down takes only its own lab', async (t) => {
  const one = await Lab.up('lifef', MANIFESTS, ['--no-agent', '--nodes', '1']);
  t.teardown(() => one.down());
  const other = `${one.name}x`;
  mkdirSync(`/run/aquifer/${other}`);
  spawnSync('ip', ['netns', 'add', `aq-${other}-fabric`]);
  t.teardown(() => {
    rmSync(`/run/aquifer/${other}`, { recursive: true, force: true });
    spawnSync('ip', ['netns', 'del', `aq-${other}-fabric`]);
  });
  await one.down();
  t.deepEqual(leftoversOf(one.name), nothingLeft());
  t.deepEqual(leftoversOf(other).netns, [`aq-${other}-fabric`]);
});

test.serial('up in the foreground shows its stages in plain lines, and Ctrl-C takes the lab down', async (t) => {
  const name = `lifeh${process.pid}`;
  t.teardown(() => spawnSync(process.execPath, [LAB_CLI, 'down', '--name', name]));
  const child = spawn(process.execPath, [LAB_CLI, 'up', '--name', name], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let shown = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
  });
  await eventually(
    'connections are shown',
    () => (/shop\/web -> shop\/cart:80 .* allowed/.test(shown) ? true : undefined),
    60_000,
  );
  child.kill('SIGINT');
  const [code] = (await ended) as [number];
  t.is(code, 0);
  for (const stage of ['This machine', 'Network', 'Controller', 'Agents', 'Manifests', 'Pods'])
    t.regex(shown, new RegExp(`✓ ${stage} .* m?s\\n`));
  t.false(shown.includes(String.fromCharCode(27)), 'no escape codes without a terminal');
  t.deepEqual(leftoversOf(name), nothingLeft());
});

test.serial('a manifest that is wrong is named with its file and reason, and the lab is up all the same', async (t) => {
  const bad = {
    apiVersion: 'aquifer.dev/v1alpha1',
    kind: 'L4Policy',
    metadata: { name: 'p', namespace: 'shop' },
    spec: { action: 'Perhaps' },
  };
  const lab = await Lab.up('lifeg', yaml(namespace('shop'), pod('shop', 'web')), ['--no-agent', '--nodes', '1']);
  t.teardown(() => lab.down());
  const applied = await lab.cli(['lab', 'apply', '-f', '-'], { input: yaml(bad) });
  t.is(applied.code, 1);
  t.regex(applied.stderr, /action/);
  t.is((await lab.cli(['lab', 'status'])).code, 0);
});
