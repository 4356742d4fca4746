import test from 'ava';
import type { Pod } from '../../../deploy/lab/cluster/objects.ts';
import { HASH_LABEL, rolloutStep, templateHash } from '../../../deploy/lab/cluster/rollout.ts';
import { deployment, type PodShape, pod } from './objects.ts';

const web = deployment('web', { replicas: 4 });
const hash = templateHash(web);
const current = (name: string, shape: PodShape = {}): Pod => pod(name, { ...shape, labels: { [HASH_LABEL]: hash } });
const old = (name: string, shape: PodShape = {}): Pod => pod(name, { ...shape, labels: { [HASH_LABEL]: 'old' } });

test('a new deployment creates all its replicas', (t) => {
  t.deepEqual(rolloutStep(web, []), { create: 4, delete: [] });
});

test('a deployment that is as it should be does nothing', (t) => {
  t.deepEqual(
    rolloutStep(
      web,
      ['a', 'b', 'c', 'd'].map((name) => current(name)),
    ),
    { create: 0, delete: [] },
  );
});

test('a roll-out surges by a quarter first and may already miss a quarter', (t) => {
  const step = rolloutStep(
    web,
    ['a', 'b', 'c', 'd'].map((name) => old(name)),
  );
  t.is(step.create, 1);
  t.is(step.delete.length, 1);
});

test('a roll-out without maxUnavailable deletes an old pod only once a new one is ready', (t) => {
  const strict = deployment('web', { replicas: 2, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } });
  const label = { [HASH_LABEL]: templateHash(strict) };
  const starting = rolloutStep(strict, [old('a'), old('b'), pod('c', { labels: label, ready: false })]);
  t.deepEqual(starting, { create: 0, delete: [] });
  const ready = rolloutStep(strict, [old('a'), old('b'), pod('c', { labels: label })]);
  t.is(ready.delete.length, 1);
});

test('old pods that are not ready go before ready ones', (t) => {
  const step = rolloutStep(web, [old('a'), old('b'), old('c'), old('sick', { ready: false })]);
  t.true(step.delete.includes('sick'));
});

test('surge and unavailable of nothing still move', (t) => {
  const stuck = deployment('web', { replicas: 1, strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } });
  t.deepEqual(rolloutStep(stuck, [old('a')]), { create: 0, delete: ['a'] });
});

test('scaling down loses pods that are not ready, then the youngest', (t) => {
  const two = deployment('web', { replicas: 2 });
  const pods = [
    current('first', { created: '2026-01-01T00:00:00Z' }),
    current('second', { created: '2026-01-02T00:00:00Z' }),
    current('third', { created: '2026-01-03T00:00:00Z' }),
    current('sick', { ready: false }),
  ];
  t.deepEqual(rolloutStep(two, pods).delete, ['sick', 'third']);
});

test('scaling to nothing deletes all', (t) => {
  t.deepEqual(rolloutStep(deployment('web', { replicas: 0 }), [current('a'), old('b')]).delete.sort(), ['a', 'b']);
});

test('Recreate waits until the last old pod is gone', (t) => {
  const recreate = deployment('web', { replicas: 2, strategy: { type: 'Recreate' } });
  t.deepEqual(rolloutStep(recreate, [old('a')]), { create: 0, delete: ['a'] });
  t.deepEqual(rolloutStep(recreate, [old('a', { terminating: true })]), { create: 0, delete: [] });
  t.deepEqual(rolloutStep(recreate, []), { create: 2, delete: [] });
});

test('a finished pod is replaced', (t) => {
  const step = rolloutStep(deployment('web', { replicas: 1 }), [current('a', { phase: 'Failed', ready: false })]);
  t.deepEqual(step, { create: 1, delete: ['a'] });
});

test('the hash changes with the template and not with the number of replicas', (t) => {
  t.is(templateHash(deployment('web', { replicas: 9 })), hash);
  const other = deployment('web', { template: { spec: { containers: [{ name: 'other' }] } } });
  t.not(templateHash(other), hash);
  t.regex(hash, /^[a-z0-9]{9}$/);
});
