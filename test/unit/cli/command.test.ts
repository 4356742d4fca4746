import test from 'ava';
import { aquifer, fakeMesh, VERBS } from './run-verbs.ts';

test('the command without a verb lists the verbs and exits 2', async (t) => {
  const ran = await aquifer(fakeMesh(t), []);
  t.is(ran.code, 2);
  for (const verb of VERBS) t.true(ran.stderr.includes(`  ${verb.name}`));
});

test('help lists the verbs, and tells all about one', async (t) => {
  const mesh = fakeMesh(t);
  t.is((await aquifer(mesh, ['help'])).code, 0);
  const help = await aquifer(mesh, ['help', 'apply']);
  t.regex(help.stdout, /^Usage: aquifer apply/);
  t.is((await aquifer(mesh, ['apply', '--help'])).stdout, help.stdout);
});

test('every verb has help that starts with its usage', (t) => {
  for (const verb of VERBS) t.regex(verb.help, new RegExp(`^Usage: aquifer ${verb.name}`));
});

test('an unknown verb names the nearest one and exits 2', async (t) => {
  const ran = await aquifer(fakeMesh(t), ['aply', '-f', 'x']);
  t.is(ran.code, 2);
  t.is(ran.stderr, 'aquifer: "aply" is not a verb of aquifer\n  did you mean "apply"?\n');
});

test('an unknown option names the nearest one and exits 2', async (t) => {
  const ran = await aquifer(fakeMesh(t), ['get', 'pods', '--all-namespace']);
  t.is(ran.code, 2);
  t.regex(ran.stderr, /unknown option --all-namespace, did you mean --all-namespaces\?/);
});

test('an option without its value is a usage error', async (t) => {
  const ran = await aquifer(fakeMesh(t), ['get', 'pods', '-n']);
  t.is(ran.code, 2);
  t.regex(ran.stderr, /-n, --namespace/);
});

test('a choice that is none names what is known', async (t) => {
  const ran = await aquifer(fakeMesh(t), ['get', 'pods', '-o', 'xml']);
  t.is(ran.code, 2);
  t.regex(ran.stderr, /--output: "xml" is not one of table, yaml, json/);
});

test('a lab that is not up is named, with those that are', async (t) => {
  const mesh = fakeMesh(t);
  await mesh.controller(() => null);
  const ran = await aquifer(mesh, ['get', 'pods', '--lab', 'other']);
  t.is(ran.code, 1);
  t.is(ran.stderr, 'aquifer: no lab named "other" is up\n  up are lab; choose with --lab NAME\n');
});

test('a name of a lab cannot leave the run directory', async (t) => {
  t.is((await aquifer(fakeMesh(t), ['get', 'pods', '--lab', '../lab'])).code, 2);
});

test('a controller that is gone is named with its socket', async (t) => {
  const mesh = fakeMesh(t);
  await mesh.agent('node-1', () => null);
  const ran = await aquifer(mesh, ['get', 'pods']);
  t.is(ran.code, 1);
  t.regex(ran.stderr, /the controller does not answer on .*controller\.sock/);
});

test('an answer of another version is told as such', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { objects: [] } }));
  const ran = await aquifer(mesh, ['get', 'pods']);
  t.is(ran.code, 1);
  t.regex(ran.stderr, /does not understand\n {2}are both of one version\? items/);
});
