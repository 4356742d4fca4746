import test from 'ava';
import type { Policy } from '../../../../agent/model/policy.ts';
import type { Snapshot } from '../../../../agent/model/snapshot.ts';
import type { Service, Workload } from '../../../../agent/model/workload.ts';
import { noChanges } from '../../../../agent/sync/changes.ts';
import { LayeredMap } from '../../../../agent/sync/layered-map.ts';
import { SnapshotStore } from '../../../../agent/sync/snapshot-store.ts';
import { aService, aSnapshot, aWorkload, changesOf, endpointOf, inbound, seededRandom } from '../../../support/mesh.ts';

const removal = (uid: string) => {
  const changes = noChanges();
  changes.workloads.set(uid, null);
  return changes;
};

test('a layered map is a map, through 3,000 random changes', (t) => {
  const random = seededRandom(1);
  const plain = new Map<number, { value: number }>();
  let layered = LayeredMap.empty<number, { value: number }>();
  for (let i = 0; i < 3_000; i++) {
    const changes = new Map<number, { value: number } | null>();
    for (let n = 0; n < 1 + random() * 3; n++) {
      const key = Math.floor(random() * 500);
      changes.set(key, random() < 0.4 ? null : { value: i });
    }
    const before = layered;
    const sizeBefore = before.size;
    layered = layered.with(changes);
    t.is(before.size, sizeBefore);
    for (const [key, value] of changes) {
      if (value === null) plain.delete(key);
      else plain.set(key, value);
    }
    if (layered.size !== plain.size) t.fail(`size ${layered.size}, expected ${plain.size}`);
    if (i % 100 === 0) t.deepEqual(new Map([...layered].sort()), new Map([...plain].sort()));
  }
  for (let key = 0; key < 500; key++) t.is(layered.get(key), plain.get(key));
  t.is(layered.with(new Map([[9_999, null]])), layered);
});

test('older snapshots stay as they were', (t) => {
  const store = new SnapshotStore();
  const seen: [Snapshot, Snapshot][] = [];
  store.onChange((next, previous) => seen.push([next, previous]));
  store.apply(changesOf({ workloads: [aWorkload('a/x', { addresses: ['10.0.0.1'] })] }));
  const first = store.current;
  store.apply(removal('Kubernetes//Pod/a/x'));
  t.is(first.workloads.size, 1);
  t.is(first.workloadByAddress.get('10.0.0.1')?.name, 'x');
  t.is(store.current.workloads.size, 0);
  t.false(store.current.workloadByAddress.has('10.0.0.1'));
  t.deepEqual(
    seen.map(([next, previous]) => [next.version, previous.version]),
    [
      [1, 0],
      [2, 1],
    ],
  );
  t.throws(() => Object.assign(first, { version: 9 }));
});

test('a batch that changes nothing makes no snapshot, except the first', (t) => {
  const store = new SnapshotStore();
  store.apply(changesOf({}));
  t.is(store.current.version, 1);
  store.apply(changesOf({}));
  store.apply(removal('nobody'));
  t.is(store.current.version, 1);
});

test('maps without changes are the same objects', (t) => {
  const store = new SnapshotStore();
  store.apply(changesOf({ workloads: [aWorkload('a/x')], policies: [inbound('a/p', 'Deny', [])] }));
  const before = store.current;
  store.apply(changesOf({ workloads: [aWorkload('a/y')] }));
  t.is(store.current.policies, before.policies);
  t.is(store.current.services, before.services);
  t.not(store.current.workloads, before.workloads);
});

test('a listener can be taken away', (t) => {
  const store = new SnapshotStore();
  let heard = 0;
  const stop = store.onChange(() => heard++);
  store.apply(changesOf({ workloads: [aWorkload('a/x')] }));
  t.is(heard, 1);
  stop();
  store.apply(changesOf({ workloads: [aWorkload('a/y')] }));
  t.is(heard, 1);
});

test('an address goes to the pod that is not on its way out, and back when that goes', (t) => {
  const store = new SnapshotStore();
  const addresses = ['10.0.0.1'];
  const holder = () => store.current.workloadByAddress.get('10.0.0.1')?.name;
  const old = aWorkload('a/old', { addresses });
  store.apply(changesOf({ workloads: [old] }));
  store.apply(changesOf({ workloads: [aWorkload('a/new', { addresses })] }));
  t.is(holder(), 'new');
  store.apply(changesOf({ workloads: [{ ...old, canonicalRevision: 'v2' }] }));
  t.is(holder(), 'new', 'an update of the old one does not take the address back');
  store.apply(changesOf({ workloads: [aWorkload('a/new', { addresses, terminating: true })] }));
  t.is(holder(), 'old');
  store.apply(removal('Kubernetes//Pod/a/old'));
  t.is(holder(), 'new');
  store.apply(changesOf({ workloads: [aWorkload('a/new', { addresses: ['10.0.0.2'] })] }));
  t.is(holder(), undefined);
});

test('a host-network pod does not own its node address', (t) => {
  const snapshot = aSnapshot({ workloads: [aWorkload('a/x', { addresses: ['172.30.0.10'], hostNetwork: true })] });
  t.false(snapshot.workloadByAddress.has('172.30.0.10'));
  t.is(snapshot.workloads.size, 1);
});

test('Services that share an address are listed by key, the first one holds it', (t) => {
  const store = new SnapshotStore();
  const service = (path: string) => aService(path, { 80: 80 }, { addresses: ['203.0.113.1'] });
  store.apply(changesOf({ services: [service('b/s'), service('a/s'), service('c/s')] }));
  const shared = () => store.current.sharedAddresses?.get('203.0.113.1')?.map(({ namespace }) => namespace);
  t.deepEqual(shared(), ['a', 'b', 'c']);
  t.is(store.current.serviceByAddress.get('203.0.113.1')?.namespace, 'a');
  const changes = noChanges();
  changes.services.set('a/s.a.svc.cluster.local', null);
  changes.services.set('b/s.b.svc.cluster.local', null);
  store.apply(changes);
  t.is(shared(), undefined);
  t.is(store.current.serviceByAddress.get('203.0.113.1')?.namespace, 'c');
});

/** The parts of a snapshot as plain sorted data. */
function plain(snapshot: Snapshot) {
  const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    workloads: sorted(snapshot.workloads),
    byAddress: sorted(snapshot.workloadByAddress),
    services: sorted(snapshot.services),
    serviceByAddress: sorted(snapshot.serviceByAddress),
    endpoints: sorted(snapshot.endpoints),
    policies: sorted(snapshot.policies),
    awaiting: [...snapshot.awaiting].sort(),
  };
}

test('100 random histories end in the snapshot that their end alone would make', (t) => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = seededRandom(seed);
    const pick = (n: number) => Math.floor(random() * n);
    const store = new SnapshotStore();
    const state = {
      workloads: new Map<string, Workload>(),
      services: new Map<string, Service>(),
      policies: new Map<string, Policy>(),
    };
    for (let step = 0; step < 40; step++) {
      const changes = noChanges();
      for (let n = pick(25); n >= 0; n--) {
        const i = pick(30);
        const path = `ns${i % 3}/w${i}`;
        const workload = aWorkload(path, {
          // Each has its own addresses: who holds a contested one depends on history, by intent.
          addresses: Array.from({ length: pick(3) }, (_, a) => `10.0.${i}.${a + pick(3) * 4}`).filter(
            (v, at, all) => all.indexOf(v) === at,
          ),
          services: endpointOf(
            ...Array.from({ length: pick(3) }, (_, s): [string, Record<number, number>] => [
              `ns/s${(s + i) % 4}`,
              { 80: 80 },
            ]),
          ),
          policies: pick(2) ? null : [{ name: `ns0/p${pick(4)}`, direction: 'Inbound', version: `${pick(2)}` }],
          selectorPolicies: pick(3) ? [] : [`ns0/p${pick(4)}`],
          hostNetwork: pick(8) === 0,
        });
        changes.workloads.set(workload.uid, pick(4) ? workload : null);
        const service = aService(`ns/s${pick(4)}`, { 80: 80 }, { addresses: [`10.96.0.${pick(6)}`] });
        changes.services.set(service.key, pick(4) ? service : null);
        const policy = inbound(`ns0/p${pick(4)}`, 'Deny', [], { version: `${pick(2)}` });
        changes.policies.set(`Inbound ${policy.name}`, pick(4) ? policy : null);
      }
      for (const part of ['workloads', 'services', 'policies'] as const) {
        for (const [key, value] of changes[part]) {
          if (value === null) state[part].delete(key);
          else (state[part] as Map<string, unknown>).set(key, value);
        }
      }
      store.apply(changes);
    }
    store.apply(changesOf({}));
    const fresh = aSnapshot({
      workloads: [...state.workloads.values()],
      services: [...state.services.values()],
      policies: [...state.policies.values()],
    });
    t.deepEqual(plain(store.current), plain(fresh), `seed ${seed}`);
    for (const list of store.current.endpoints.values()) {
      t.deepEqual(
        list,
        list.toSorted((a, b) => (a.uid < b.uid ? -1 : 1)),
      );
    }
  }
});

test('one update among 10,000 workloads does not cost a rebuild', (t) => {
  const services = Array.from({ length: 200 }, (_, i) =>
    aService(`ns/s${i}`, { 80: 80 }, { addresses: [`10.96.${i}.1`] }),
  );
  const workload = (i: number, revision: string) =>
    aWorkload(`ns/w${i}`, {
      addresses: [`10.${i >> 8}.${i & 255}.1`, `fd00::${i.toString(16)}`],
      services: endpointOf([`ns/s${i % 200}`, { 80: 80 }], ['ns/all', { 80: 80 }]),
      canonicalRevision: revision,
      policies: [{ name: 'root/mesh', direction: 'Inbound', version: '1' }],
    });
  const store = new SnapshotStore();
  const started = performance.now();
  const workloads = Array.from({ length: 10_000 }, (_, i) => workload(i, 'v0'));
  store.apply(changesOf({ workloads, services, policies: [inbound('root/mesh', 'Deny', [], { scope: 'Mesh' })] }));
  const fullMs = performance.now() - started;
  const updates = Array.from({ length: 1_000 }, (_, n) =>
    changesOf({ workloads: [workload((n * 37) % 10_000, `v${n}`)] }),
  );
  const from = performance.now();
  for (const update of updates) store.apply(update);
  const updateMs = (performance.now() - from) / updates.length;
  t.log(`10,000 workloads: ${fullMs.toFixed(0)} ms; one update: ${(updateMs * 1000).toFixed(0)} µs`);
  t.is(store.current.awaiting.size, 0);
  t.true(updateMs < fullMs / 10, `${updateMs} ms against ${fullMs} ms`);
});
