import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import type { ApiObject } from '../../../../controller/api/kinds.ts';
import { formatProblem } from '../../../../controller/api/problem.ts';
import { DirectorySource } from '../../../../controller/watch/directory.ts';
import { sourceMemory } from '../../../../controller/watch/source-memory.ts';
import { until } from '../../../support/eventually.ts';

const ns = (name: string, more = '') => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}${more}}\n`;

class Fixture {
  readonly root = mkdtempSync(join(tmpdir(), 'aquifer-manifests-'));
  readonly directory = join(this.root, 'manifests');
  objects: ReadonlyMap<string, ApiObject> = new Map();
  readings = 0;
  source: DirectorySource;

  constructor(t: ExecutionContext) {
    mkdirSync(this.directory);
    this.source = this.open();
    t.teardown(async () => {
      await this.source.close();
      rmSync(this.root, { recursive: true, force: true });
    });
  }

  open(): DirectorySource {
    this.source = new DirectorySource({
      directory: this.directory,
      memory: sourceMemory(join(this.root, 'memory.json')),
      log: pino({ level: 'silent' }),
      debounceMs: 5,
      pollMs: 60_000,
      onObjects: (objects) => {
        this.objects = objects;
        this.readings++;
      },
    });
    return this.source;
  }

  write(file: string, text: string): void {
    const path = join(this.directory, file);
    mkdirSync(join(path, '..'), { recursive: true });
    // Another inode each time: two writes within one tick of the clock are told apart.
    writeFileSync(`${path}.part`, text);
    renameSync(`${path}.part`, path);
  }

  async names(): Promise<string[]> {
    await this.source.refresh();
    return [...this.objects.values()].map(({ metadata }) => metadata.name).sort();
  }

  get problems(): string[] {
    return this.source.status.errors.map((problem) => formatProblem(problem).replaceAll(`${this.directory}/`, ''));
  }
}

test('a directory is read with its folders, and only its manifests', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', `${ns('a')}---\n# only a comment\n---\n${ns('b')}`);
  fixture.write('deep/er/c.yml', ns('c'));
  fixture.write('d.json', JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'd' } }));
  fixture.write('readme.md', 'not a manifest');
  fixture.write('.hidden.yaml', ns('hidden'));
  fixture.write('..2026/e.yaml', ns('hidden'));
  symlinkSync('..2026/e.yaml', join(fixture.directory, 'f.yaml'));
  t.deepEqual(await fixture.names(), ['a', 'b', 'c', 'd', 'hidden']);
  t.deepEqual(fixture.problems, []);
  t.is(fixture.source.status.files, 4);
  t.not(fixture.source.status.lastGood, null);
});

test('a malformed file keeps the last good version, and recovers', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', `${ns('a')}---\n${ns('b')}`);
  await fixture.names();
  fixture.write('a.yaml', `${ns('a')}---\nkind: [Name`);
  t.deepEqual(await fixture.names(), ['a', 'b']);
  t.regex(fixture.problems[0] ?? '', /^a\.yaml:\d+: malformed YAML/);
  fixture.write('a.yaml', ns('a'));
  t.deepEqual(await fixture.names(), ['a']);
  t.deepEqual(fixture.problems, []);
});

test('an emptied file keeps the last good version: whoever truncates is about to write', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', ns('a'));
  await fixture.names();
  fixture.write('a.yaml', '');
  t.deepEqual(await fixture.names(), ['a']);
  t.deepEqual(fixture.problems, ['a.yaml:1: is empty (delete the file to remove its objects)']);
});

test('an invalid object keeps its last good version; the others of the file go on', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', `${ns('a')}---\n${ns('b')}`);
  await fixture.names();
  fixture.write('a.yaml', `${ns('a', ', labels: {x: 1}')}---\n${ns('b', ', labels: {new: "yes"}')}---\n${ns('c')}`);
  t.deepEqual(await fixture.names(), ['a', 'b', 'c']);
  const labels = [...fixture.objects.values()].map(({ metadata }) => metadata.labels ?? null);
  t.deepEqual(
    labels.filter((each) => each !== null),
    [{ new: 'yes' }],
  );
  t.deepEqual(fixture.problems, ['a.yaml:3: metadata.labels.x: must be a string, not 1 (put it in quotes)']);
});

test('a mistyped kind is not a deletion', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', ns('a'));
  await fixture.names();
  fixture.write('a.yaml', ns('a').replace('Namespace', 'Namespase'));
  t.deepEqual(await fixture.names(), ['a']);
});

test('an object in two files: the live one stays, the error names both', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('b.yaml', ns('x', ', labels: {from: b}'));
  await fixture.names();
  fixture.write('a.yaml', `${ns('y')}---\n${ns('x', ', labels: {from: a}')}`);
  t.deepEqual(await fixture.names(), ['x', 'y']);
  const live = () => [...fixture.objects.values()].find(({ metadata }) => metadata.name === 'x')?.metadata.labels;
  t.deepEqual(live(), { from: 'b' });
  const told =
    'metadata.name: Namespace x is already defined in b.yaml:1, which stays in force (remove one of the two)';
  t.deepEqual(fixture.problems, [`a.yaml:5: ${told}`]);
  rmSync(join(fixture.directory, 'b.yaml'));
  await fixture.names();
  t.deepEqual(live(), { from: 'a' });
  t.deepEqual(fixture.problems, []);
});

test('an object twice in one file is told with both lines', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', `${ns('x')}---\n${ns('x')}`);
  t.deepEqual(await fixture.names(), ['x']);
  t.regex(fixture.problems[0] ?? '', /^a\.yaml:5: .*already defined in a\.yaml:1/);
});

test('an object moves to another file, also out of one that has a fault', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', `${ns('x')}---\n${ns('y')}`);
  await fixture.names();
  fixture.write('a.yaml', 'kind: Nonsense');
  fixture.write('b.yaml', ns('x', ', labels: {moved: "yes"}'));
  t.deepEqual(await fixture.names(), ['x', 'y']);
  t.is(fixture.problems.length, 1);
  const moved = [...fixture.objects.values()].find(({ metadata }) => metadata.name === 'x');
  t.deepEqual(moved?.metadata.labels, { moved: 'yes' });
});

test('a deleted file takes its objects with it; a missing directory does not', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', ns('a'));
  fixture.write('b.yaml', ns('b'));
  await fixture.names();
  rmSync(join(fixture.directory, 'a.yaml'));
  t.deepEqual(await fixture.names(), ['b']);
  renameSync(fixture.directory, `${fixture.directory}.away`);
  t.deepEqual(await fixture.names(), ['b']);
  t.regex(fixture.source.status.errors[0]?.reason ?? '', /ENOENT/);
  renameSync(`${fixture.directory}.away`, fixture.directory);
  t.deepEqual(await fixture.names(), ['b']);
  t.deepEqual(fixture.problems, []);
});

test('the last good version outlives a restart, also without the directory', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', ns('a'));
  await fixture.names();
  await fixture.source.close();
  fixture.write('a.yaml', 'kind: [');
  fixture.open();
  fixture.objects = new Map();
  t.deepEqual(await fixture.names(), ['a']);
  await fixture.source.close();
  rmSync(fixture.directory, { recursive: true });
  fixture.open();
  fixture.objects = new Map();
  t.deepEqual(await fixture.names(), ['a']);
});

test('nothing is told when nothing changed', async (t) => {
  const fixture = new Fixture(t);
  fixture.write('a.yaml', ns('a'));
  await fixture.names();
  const { readings } = fixture;
  await fixture.names();
  t.is(fixture.readings, readings);
});

test('a change is noticed by itself', async (t) => {
  const fixture = new Fixture(t);
  await fixture.source.start();
  fixture.write('sub/a.yaml', ns('a'));
  await until('a is read', () => fixture.objects.size === 1);
  fixture.write('sub/a.yaml', `${ns('a')}---\n${ns('b')}`);
  await until('b is read', () => fixture.objects.size === 2);
  rmSync(join(fixture.directory, 'sub'), { recursive: true });
  await until('both are gone', () => fixture.objects.size === 0);
  t.deepEqual(fixture.problems, []);
});
