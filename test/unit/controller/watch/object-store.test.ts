import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { type ApiObject, refOf } from '../../../../controller/api/kinds.ts';
import { objectKey } from '../../../../controller/core/model.ts';
import { layerDirectory } from '../../../../controller/watch/layer-files.ts';
import { type ObjectChange, ObjectStore } from '../../../../controller/watch/object-store.ts';
import { namespace, pod } from '../support/objects.ts';

const NOW = new Date('2026-01-01T00:00:00Z');

function storeOf(directory: string | null = null) {
  const bad: string[] = [];
  const files = (name: string) =>
    directory === null ? null : layerDirectory(join(directory, name), (file) => bad.push(file));
  const store = new ObjectStore(
    [
      { name: 'directory-0', files: null },
      { name: 'applied', files: files('applied') },
      { name: 'cluster', reported: true, files: files('cluster') },
    ],
    () => NOW,
  );
  return { store, bad };
}

const layer = (...objects: ApiObject[]) => new Map(objects.map((object) => [objectKey(refOf(object)), object]));
const web = (labels: Record<string, string>) => pod('web', { labels });
const labelsOf = (object: ApiObject | null) => object?.metadata.labels ?? null;

test('later layers win', (t) => {
  const { store } = storeOf();
  const ref = refOf(web({}));
  store.replaceLayer('directory-0', layer(web({ from: 'directory' })));
  t.deepEqual(labelsOf(store.get(ref)), { from: 'directory' });
  t.deepEqual(store.apply('applied', [web({ from: 'applied' })]), ['configured']);
  t.deepEqual(labelsOf(store.get(ref)), { from: 'applied' });
  t.deepEqual(store.apply('cluster', [web({ from: 'cluster' })]), ['configured']);
  t.deepEqual(labelsOf(store.get(ref)), { from: 'cluster' });
  t.deepEqual(labelsOf(store.get(ref, 'desired')), { from: 'applied' });
  t.deepEqual(store.delete('cluster', [ref]), ['deleted']);
  t.deepEqual(labelsOf(store.get(ref)), { from: 'applied' });
});

test('deleting what a directory has leaves a tombstone, which goes when the directory lets go', (t) => {
  const { store } = storeOf();
  const ref = refOf(web({}));
  store.replaceLayer('directory-0', layer(web({})));
  t.deepEqual(store.delete('applied', [ref]), ['deleted']);
  t.is(store.get(ref), null);
  t.deepEqual(store.delete('applied', [ref]), ['not found']);
  store.replaceLayer('directory-0', layer(web({ again: 'yes' })));
  t.is(store.get(ref), null);
  store.replaceLayer('directory-0', layer());
  store.replaceLayer('directory-0', layer(web({ again: 'yes' })));
  t.deepEqual(labelsOf(store.get(ref)), { again: 'yes' });
});

test('what the cluster still runs is terminating once it is deleted', (t) => {
  const { store } = storeOf();
  const ref = refOf(web({}));
  store.replaceLayer('directory-0', layer(web({})));
  store.apply('cluster', [web({})]);
  store.delete('applied', [ref]);
  t.is(store.get(ref, 'desired'), null);
  t.is(store.get(ref)?.metadata.deletionTimestamp, NOW.toISOString());
  store.delete('cluster', [ref]);
  t.is(store.get(ref), null);
});

test('applying twice changes nothing, and tells so', (t) => {
  const { store } = storeOf();
  const heard: (readonly ObjectChange[])[] = [];
  store.onChange('effective', (changes) => heard.push(changes));
  t.deepEqual(store.apply('applied', [web({}), namespace('shop')]), ['created', 'created']);
  t.deepEqual(store.apply('applied', [web({}), namespace('shop')]), ['unchanged', 'unchanged']);
  t.deepEqual(
    heard.map((changes) => changes.length),
    [2],
  );
});

test('a status that the cluster reports is a change, one that a user applies is none', (t) => {
  const { store } = storeOf();
  const ended = pod('web', { status: { phase: 'Failed' } });
  store.apply('applied', [pod('web')]);
  t.deepEqual(store.apply('applied', [ended]), ['unchanged']);
  t.deepEqual(store.apply('cluster', [ended]), ['configured']);
});

test('the generation counts changes of the spec only', (t) => {
  const { store } = storeOf();
  const ref = refOf(web({}));
  const generation = () => store.get(ref)?.metadata.generation;
  store.apply('applied', [web({})]);
  t.is(generation(), 1);
  store.apply('applied', [web({ a: 'b' })]);
  t.is(generation(), 1);
  store.apply('applied', [pod('web', { node: 'node-2' })]);
  t.is(generation(), 2);
});

test('applied objects and tombstones outlive the process; what cannot be read is told and left', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'aquifer-store-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const first = storeOf(directory).store;
  first.replaceLayer('directory-0', layer(namespace('gone')));
  first.apply('applied', [web({ kept: 'yes' })]);
  first.delete('applied', [refOf(namespace('gone'))]);
  const file = join(directory, 'applied', readdirSync(join(directory, 'applied'))[0] ?? '');
  t.is(statSync(file).mode & 0o777, 0o600);
  writeFileSync(join(directory, 'applied', 'broken.json'), '{"object": {"kind": "Pod"');
  const { store, bad } = storeOf(directory);
  t.deepEqual(labelsOf(store.get(refOf(web({})))), { kept: 'yes' });
  store.replaceLayer('directory-0', layer(namespace('gone')));
  t.is(store.get(refOf(namespace('gone'))), null);
  t.deepEqual(bad, [join(directory, 'applied', 'broken.json')]);
});
