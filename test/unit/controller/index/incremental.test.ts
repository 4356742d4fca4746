import test from 'ava';
import { type ApiObject, refOf } from '../../../../controller/api/kinds.ts';
import { objectKey } from '../../../../controller/core/model.ts';
import { Index } from '../../../../controller/index/index.ts';
import { INDEX_OPTIONS, indexOf } from '../support/index.ts';
import { namespace, pod, policy, service } from '../support/objects.ts';
import { random } from '../support/random.ts';
import { draw } from '../support/world.ts';

const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

function contentOf(index: Index) {
  const { workloads, services, inbound, outbound } = index.snapshotFor('n1');
  return {
    workloads: sorted(workloads),
    services: sorted(services),
    inbound: sorted(inbound),
    outbound: sorted(outbound),
  };
}

/** The order of events, and what was there between, must not show. */
for (const seed of [11, 12, 13, 14, 15, 16]) {
  test(`the index computes changes as it would from scratch, seed ${seed}`, (t) => {
    const dice = random(seed);
    const index = new Index(INDEX_OPTIONS);
    const live = new Map<string, ApiObject>();
    const mirror = { workloads: new Map(), services: new Map(), inbound: new Map(), outbound: new Map() };
    for (let round = 0; round < 120; round++) {
      for (let change = 0; change <= dice.below(3); change++) {
        const drawn = draw(dice);
        const key = objectKey(refOf(drawn));
        if (dice.chance(0.3) && live.delete(key)) index.remove(refOf(drawn));
        else {
          live.set(key, drawn);
          index.apply(drawn);
        }
      }
      const delta = index.commit();
      for (const kind of ['workloads', 'services', 'inbound', 'outbound'] as const) {
        for (const [name, value] of delta[kind].set) mirror[kind].set(name, value);
        for (const name of delta[kind].removed) mirror[kind].delete(name);
      }
      const content = contentOf(index);
      t.deepEqual(content, contentOf(indexOf(...live.values())), `round ${round}`);
      // Who only follows the deltas has the same.
      for (const kind of ['workloads', 'services', 'inbound', 'outbound'] as const) {
        t.deepEqual(sorted(mirror[kind]), content[kind], `round ${round}, ${kind}`);
      }
      for (const [, { value }] of content.workloads) {
        for (const { name, direction, version } of value.policies) {
          const found = new Map<string, { version: string }>(content[direction === 'Inbound' ? 'inbound' : 'outbound']);
          t.is(found.get(name)?.version, version, `round ${round}: ${name}`);
        }
      }
    }
  });
}

test('one pod’s change computes one workload among 10,000', (t) => {
  const index = new Index(INDEX_OPTIONS);
  index.apply(namespace('shop'));
  for (let app = 0; app < 200; app++) index.apply(service(`app-${app}`));
  for (let app = 0; app < 50; app++)
    index.apply(policy(`p-${app}`, { selector: { matchLabels: { app: `app-${app}` } } }));
  const template = pod('template');
  const make = (at: number, ready: boolean): ApiObject => ({
    ...template,
    metadata: { ...template.metadata, name: `pod-${at}`, labels: { app: `app-${at % 200}` } },
    status: {
      phase: 'Running',
      podIPs: [{ ip: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}` }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  });
  for (let at = 0; at < 10_000; at++) index.apply(make(at, true));
  t.is(index.commit().workloads.set.size, 10_000);
  const times: number[] = [];
  for (let round = 0; round < 200; round++) {
    const began = performance.now();
    index.apply(make(round, false));
    const delta = index.commit();
    times.push(performance.now() - began);
    t.is(delta.workloads.set.size, 1);
  }
  const median = times.sort((a, b) => a - b)[100] ?? Number.POSITIVE_INFINITY;
  t.log(`median ${median.toFixed(3)} ms`);
  // A whole recomputation takes hundreds of milliseconds: the bound tells the two apart on any machine.
  t.true(median < 20, `median ${median} ms`);
});
