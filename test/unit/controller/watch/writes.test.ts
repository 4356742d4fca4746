import test from 'ava';
import { ObjectStore } from '../../../../controller/watch/object-store.ts';
import { Writes } from '../../../../controller/watch/writes.ts';

const GOOD = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: good}\n';
const BAD = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: BAD}\n';

function setup() {
  const store = new ObjectStore([
    { name: 'applied', files: null },
    { name: 'cluster', reported: true, files: null },
  ]);
  const errors = [{ field: 'metadata.name', reason: 'judged' }];
  const writes = new Writes(store, { review: (_, refs) => refs.map(() => ({ errors, warnings: [] })) });
  return { store, writes, count: () => [...store.list()].length };
}

test('a request with one invalid object changes nothing', (t) => {
  const { writes, count } = setup();
  const { applied, results } = writes.apply('applied', `${GOOD}---\n${BAD}`, false);
  t.false(applied);
  t.deepEqual(
    results.map(({ name, result }) => [name, result]),
    [
      ['good', 'unchanged'],
      ['BAD', 'invalid'],
    ],
  );
  t.like(results[1]?.errors[0], { file: '-', line: 7, field: 'metadata.name' });
  t.is(count(), 0);
});

test('the same object twice in a request is refused', (t) => {
  const { applied, results } = setup().writes.apply('applied', `${GOOD}---\n${GOOD}`, false);
  t.false(applied);
  t.like(results[1]?.errors[0], { line: 5, reason: 'Namespace good stands on line 1, too' });
});

test('an object that was taken may still carry errors, on their lines', (t) => {
  const { writes, count } = setup();
  const { applied, results } = writes.apply('applied', GOOD, false);
  t.true(applied);
  t.like(results[0], { result: 'created', errors: [{ file: '-', line: 3, field: 'metadata.name', reason: 'judged' }] });
  t.is(count(), 1);
});

test('a dry run tells what would be, and does nothing', (t) => {
  const { writes, count } = setup();
  t.is(writes.apply('applied', GOOD, true).results[0]?.result, 'created');
  t.is(count(), 0);
});

test('delete needs the name only', (t) => {
  const { writes, count } = setup();
  writes.apply('applied', GOOD, false);
  const namesOnly = GOOD.replace('{name: good}', '{name: good, labels: {x: 1}}');
  t.is(writes.delete('applied', namesOnly).results[0]?.result, 'deleted');
  t.is(writes.delete('applied', namesOnly).results[0]?.result, 'not found');
  t.is(count(), 0);
  t.false(writes.delete('applied', 'kind: Namespace').applied);
});
