import test from 'ava';
import { isOutside, schedule } from '../../../deploy/lab/cluster/scheduler.ts';
import { node, pod } from './objects.ts';

const nodes = [node('node-1', { zone: 'a' }), node('node-2', { zone: 'b' })];

test('a pod goes where the fewest pods of its owner are', (t) => {
  const others = [
    pod('x', { node: 'node-1', owner: 'web-1' }),
    pod('y', { node: 'node-2' }),
    pod('z', { node: 'node-2' }),
  ];
  t.deepEqual(schedule(pod('new', { owner: 'web-1' }), nodes, others), { node: 'node-2' });
});

test('a pod without owner goes where the fewest pods are, then by name', (t) => {
  t.deepEqual(schedule(pod('new'), nodes, [pod('x', { node: 'node-1' })]), { node: 'node-2' });
  t.deepEqual(schedule(pod('new'), nodes, []), { node: 'node-1' });
});

test('a finished pod takes no room', (t) => {
  const done = pod('x', { node: 'node-1', phase: 'Succeeded' });
  t.deepEqual(schedule(pod('new'), nodes, [done, pod('y', { node: 'node-2' })]), { node: 'node-1' });
});

test('nodeName and nodeSelector are obeyed', (t) => {
  t.deepEqual(schedule(pod('new', { node: 'node-2' }), nodes, []), { node: 'node-2' });
  const picky = pod('new');
  picky.spec.nodeSelector = { zone: 'b' };
  t.deepEqual(schedule(picky, nodes, []), { node: 'node-2' });
});

test('what cannot be placed says why', (t) => {
  t.like(schedule(pod('new', { node: 'node-9' }), nodes, []), {
    unschedulable: 'there is no node "node-9"; this lab has node-1, node-2',
  });
  const picky = pod('new');
  picky.spec.nodeSelector = { disk: 'ssd' };
  const placement = schedule(picky, nodes, []);
  t.regex('unschedulable' in placement ? placement.unschedulable : '', /disk=ssd/);
});

test('a pod is outside by its own annotation or its namespace', (t) => {
  const annotated = pod('out');
  annotated.metadata.annotations = { 'lab.aquifer.dev/outside': 'true' };
  t.true(isOutside(annotated, undefined));
  t.true(isOutside(pod('out'), { 'lab.aquifer.dev/outside': 'true' }));
  t.false(isOutside(pod('in'), {}));
});
