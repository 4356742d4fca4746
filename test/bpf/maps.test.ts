import test from 'ava';
import { decodeU64 } from '../../agent/redirect/layout.ts';
import { Slots } from '../../agent/redirect/slots.ts';
import { loadForPod } from './support/programs.ts';

test('probe ports are replaced for one slot and left for the others', (t) => {
  const { maps } = loadForPod(t, 'guard', 0, []);
  maps.setProbePorts(1, new Set([80, 81]));
  maps.setProbePorts(2, new Set([80]));
  maps.setProbePorts(1, new Set([81, 65535]));
  t.deepEqual(
    maps.probePorts(1).sort((a, b) => a - b),
    [81, 65535],
  );
  t.deepEqual(maps.probePorts(2), [80]);
  maps.clearSlot(1);
  t.deepEqual(maps.probePorts(1), []);
});

test('older connections are kept by slot', (t) => {
  const { maps } = loadForPod(t, 'guard', 0, []);
  const tuple = (port: number) => ({ local: { address: '10.0.0.1', port }, remote: { address: 'fd00::1', port: 2 } });
  maps.setOlder(tuple(1), 1);
  maps.setOlder(tuple(2), 2);
  t.deepEqual(maps.older(1), [tuple(1)]);
  maps.clearSlot(1);
  t.deepEqual([maps.older(1), maps.older(2)], [[], [tuple(2)]]);
});

test('when killed agents filled the map of cgroups, the oldest makes room', (t) => {
  const { maps } = loadForPod(t, 'guard', 0, []);
  for (let id = 10n; id < 74n; id++) maps.addAgentCgroup(id, 1);
  maps.addAgentCgroup(1000n, 2);
  const ids = maps.all.agent_cgroups.entries().map(([key]) => decodeU64(key));
  t.is(ids.length, 64);
  t.false(ids.includes(10n));
  t.true(ids.includes(1000n));
});

test('a predecessor does not take away what its successor registered', (t) => {
  const { maps } = loadForPod(t, 'guard', 0, []);
  maps.addAgentCgroup(5n, 100);
  maps.addAgentCgroup(5n, 200);
  maps.removeAgentCgroup(5n, 100);
  t.is(maps.all.agent_cgroups.entries().length, 1);
  maps.removeAgentCgroup(5n, 200);
  t.is(maps.all.agent_cgroups.entries().length, 0);
});

test('a slot rests as long as others are free, and a full node says so', (t) => {
  const slots = new Slots(3);
  const used = new Set<number>();
  const take = (): number => {
    const slot = slots.allocate(used);
    used.add(slot);
    return slot;
  };
  t.deepEqual([take(), take()], [0, 1]);
  used.delete(0);
  t.is(take(), 2);
  t.is(take(), 0);
  t.throws(() => slots.allocate(used), { code: 'MESH_LIMIT' });
});
