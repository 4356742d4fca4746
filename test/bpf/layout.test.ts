import { readFileSync } from 'node:fs';
import test from 'ava';
import { AGENT_PORTS as PORT } from '../../agent/model/connection.ts';
import { MARK } from '../../agent/model/datapath.ts';
import {
  decodeEvent,
  decodeTuple,
  encodeTuple,
  LIMIT,
  LISTENER_INDEX,
  ORIGIN,
  POD_HELD,
  REASONS,
  SLOT_NONE,
  STRUCTS,
  sumCounters,
} from '../../agent/redirect/layout.ts';
import { MAP_NAMES, Objects } from '../../agent/redirect/objects.ts';
import { loadNative } from '../../native/index.ts';

const native = loadNative();
const collection = new Objects(native, 20).load('connect', {});
test.after.always(() => collection.close());

for (const [name, struct] of Object.entries(STRUCTS)) {
  test(`the codec of ${name} has the layout of the object's BTF`, (t) => {
    const layout = collection.structLayout(name);
    t.is(layout?.size, struct.size);
    const members = Object.fromEntries((layout?.members ?? []).map(({ name, offset }) => [name, offset]));
    t.deepEqual(members, struct.members);
  });
}

test('no struct has padding that nobody sets', (t) => {
  for (const name of Object.keys(STRUCTS)) {
    const layout = collection.structLayout(name);
    const used = (layout?.members ?? []).reduce((sum, member) => sum + member.size, 0);
    t.is(layout?.size, used, name);
  }
});

test('reasons have the names and the order of the enum', (t) => {
  const { AQ_REASONS, ...values } = collection.enumValues('aq_reason') ?? {};
  t.deepEqual(values, Object.fromEntries(REASONS.map((name, i) => [`AQ_${name}`, i])));
  t.is(AQ_REASONS, REASONS.length);
});

test('listeners, origins and flags have the values of their enums', (t) => {
  t.deepEqual(collection.enumValues('aq_listener'), {
    AQ_LISTENER_OUTBOUND: LISTENER_INDEX.outbound,
    AQ_LISTENER_INBOUND: LISTENER_INDEX.inbound,
    AQ_LISTENER_HBONE: LISTENER_INDEX.hbone,
    AQ_LISTENERS_PER_POD: LIMIT.listenersPerPod,
  });
  t.deepEqual(collection.enumValues('aq_origin_kind'), { AQ_ORIGIN_AGENT: ORIGIN.agent, AQ_ORIGIN_NODE: ORIGIN.node });
  t.deepEqual(collection.enumValues('aq_pod_flag'), { AQ_POD_HELD: POD_HELD });
});

test('constants have the values of the header', (t) => {
  const header = readFileSync(new URL('../../bpf/include/aquifer.h', import.meta.url), 'utf8');
  const defined = Object.fromEntries(
    [...header.matchAll(/^#define (AQ_\w+) (0x[0-9a-f]+|\d+)/gm)].map(([, name, value]) => [name, Number(value)]),
  );
  t.deepEqual(defined, {
    AQ_MARK_CAPTURE: MARK.capture,
    AQ_MARK_TOAPP: MARK.toApp,
    AQ_MARK_DIRECT: MARK.direct,
    AQ_PORT_OUTBOUND: PORT.outbound,
    AQ_PORT_INBOUND: PORT.inbound,
    AQ_PORT_HBONE: PORT.hbone,
    AQ_MAX_ADDRESSES: LIMIT.addresses,
    AQ_MAX_CGROUP_DEPTH: 16,
    AQ_SLOT_NONE: SLOT_NONE,
    AQ_MAX_PODS: LIMIT.pods,
    AQ_MAX_CONNECTIONS: LIMIT.connections,
  });
});

test('every object declares the maps that the loader shares, and no other', (t) => {
  for (const name of ['connect', 'guard', 'steer', 'sockops'] as const) {
    const maps = Object.fromEntries(MAP_NAMES.map((map) => [map, collection.map(map)]));
    const object = new Objects(native, 20).load(name, { reuseMaps: maps });
    t.deepEqual(object.mapNames.filter((map) => !map.includes('.')).sort(), [...MAP_NAMES].sort(), name);
    object.close();
    for (const map of Object.values(maps)) map.close();
  }
});

test('tuples survive the codec, IPv4 as a v4-mapped address', (t) => {
  const tuple = { local: { address: '10.1.2.3', port: 8080 }, remote: { address: 'fd00::1', port: 65535 } };
  const bytes = encodeTuple(tuple);
  t.deepEqual(decodeTuple(bytes), tuple);
  t.is(Buffer.from(bytes).toString('hex'), '00000000000000000000ffff0a010203fd000000000000000000000000000001901fffff');
});

test('an event is read at its offsets', (t) => {
  const bytes = new Uint8Array(STRUCTS.aq_event.size);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, 1n, true);
  view.setBigUint64(8, 2n, true);
  bytes.set(encodeTuple({ local: { address: '::1', port: 3 }, remote: { address: '::2', port: 4 } }), 16);
  for (const [i, offset] of [52, 56, 60].entries()) view.setUint32(offset, i + 5, true);
  t.deepEqual(decodeEvent(bytes), {
    timeNs: 1n,
    netnsCookie: 2n,
    tuple: { local: { address: '::1', port: 3 }, remote: { address: '::2', port: 4 } },
    slot: 5,
    reason: 6,
    protocol: 7,
  });
});

test('per-CPU counters are added up', (t) => {
  t.is(sumCounters(new Uint8Array(new BigUint64Array([1n, 2n, 2n ** 40n]).buffer)), 2 ** 40 + 3);
});
