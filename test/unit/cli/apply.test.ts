import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Manifests } from '../../../controller/cli/manifests.ts';
import { aquifer, fakeMesh } from './run-verbs.ts';

const created = { kind: 'L4Policy', namespace: 'shop', name: 'p', result: 'created', errors: [], warnings: [] };

test('apply sends the standard input and prints each result', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { results: [created] } }));
  const ran = await aquifer(mesh, ['apply', '-f', '-'], 'kind: L4Policy\n');
  t.deepEqual(ran, { code: 0, stdout: 'L4Policy shop/p created\n', stderr: '' });
  t.deepEqual(mesh.requests, [{ method: 'POST', path: '/v1/apply?layer=applied', body: 'kind: L4Policy\n' }]);
});

test('apply --dry-run says so, to the controller and to the reader', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { results: [created] } }));
  const ran = await aquifer(mesh, ['apply', '-f', '-', '--dry-run'], 'x: 1\n');
  t.is(ran.stdout, 'L4Policy shop/p created (dry run)\n');
  t.is(mesh.requests[0]?.path, '/v1/apply?layer=applied&dryRun=true');
});

test('apply tells the file and its own line of what is invalid, and exits 1', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'aquifer-apply-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, 'more'));
  writeFileSync(join(directory, 'a.yaml'), 'one: 1\ntwo: 2\n');
  writeFileSync(join(directory, 'more/b.yml'), 'three: 3\nfour: 4');
  writeFileSync(join(directory, 'c.txt'), 'not a manifest');
  const errors = [{ file: '-', line: 5, field: 'spec.ports', reason: 'must be a list', hint: 'put [ ] around it' }];
  const mesh = await fakeMesh(t).controller(() => ({
    status: 422,
    body: { results: [{ ...created, result: 'invalid', errors }] },
  }));
  const ran = await aquifer(mesh, ['apply', '-f', directory]);
  t.is(mesh.requests[0]?.body, 'one: 1\ntwo: 2\n---\nthree: 3\nfour: 4\n');
  t.is(ran.code, 1);
  t.is(ran.stdout, '');
  t.is(
    ran.stderr,
    `error: ${directory}/more/b.yml:2: spec.ports: must be a list (put [ ] around it)\n` +
      'nothing was changed: 1 of 1 object cannot be accepted\n',
  );
});

test('apply of a policy that is accepted but cannot be enforced as written exits 1', async (t) => {
  const errors = [{ file: '-', line: 1, field: 'spec.rules[0]', reason: 'admits nobody' }];
  const mesh = await fakeMesh(t).controller(() => ({ body: { results: [{ ...created, errors }] } }));
  const ran = await aquifer(mesh, ['apply', '-f', '-'], 'x: 1\n');
  t.is(ran.code, 1);
  t.is(ran.stdout, 'L4Policy shop/p created\n');
  t.regex(ran.stderr, /error: standard input:1: spec\.rules\[0\]: admits nobody/);
});

test('apply shows a warning and exits 0', async (t) => {
  const warnings = [{ file: '-', line: 3, field: 'spec.selector', reason: 'matches no pod' }];
  const mesh = await fakeMesh(t).controller(() => ({ body: { results: [{ ...created, warnings }] } }));
  const ran = await aquifer(mesh, ['apply', '-f', '-'], 'x: 1\n');
  t.is(ran.code, 0);
  t.regex(ran.stderr, /^warning: standard input:3: spec\.selector: matches no pod$/m);
});

test('apply of manifests without an object exits 1', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { results: [] } }));
  t.is((await aquifer(mesh, ['apply', '-f', '-'], '')).code, 1);
});

test('apply without -f, and of a file that is not there, says what to do', async (t) => {
  const mesh = await fakeMesh(t).controller(() => null);
  const stray = await aquifer(mesh, ['apply', 'policy.yaml']);
  t.is(stray.code, 2);
  t.regex(stray.stderr, /aquifer apply -f policy\.yaml/);
  const missing = await aquifer(mesh, ['apply', '-f', '/nonexistent.yaml']);
  t.is(missing.code, 1);
  t.regex(missing.stderr, /\/nonexistent\.yaml: no such file or directory/);
});

test('delete sends the same to its own path', async (t) => {
  const mesh = await fakeMesh(t).controller(() => ({ body: { results: [{ ...created, result: 'not found' }] } }));
  const ran = await aquifer(mesh, ['delete', '-f', '-'], 'x: 1\n');
  t.deepEqual(ran, { code: 0, stdout: 'L4Policy shop/p not found\n', stderr: '' });
  t.is(mesh.requests[0]?.path, '/v1/delete?layer=applied');
});

test('manifests know the file and line of each line of the stream', (t) => {
  const manifests = new Manifests([
    { name: 'a', text: '1\n2\n' },
    { name: 'b', text: '1' },
    { name: 'c', text: '1\n' },
  ]);
  t.deepEqual(
    [1, 2, 4, 6].map((line) => manifests.locate(line)),
    [
      { file: 'a', line: 1 },
      { file: 'a', line: 2 },
      { file: 'b', line: 1 },
      { file: 'c', line: 1 },
    ],
  );
});
