import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { until } from '../support/eventually.ts';
import { connectFrom, failure, load, native, scratchCgroup, toU32, u32 } from './support/bpf.ts';

/** A connect4 program in a scratch cgroup that submits `count` records for each connection. */
async function source(t: ExecutionContext, count: number) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const cgroup = scratchCgroup(t);
  const collection = load(t, 'basic', { constants: { records: u32(count) } });
  const link = native.attachCgroup(cgroup, collection.program('connect4'), 'connect4');
  t.teardown(() => link.close());
  return { port, events: collection.map('events'), connect: () => connectFrom(cgroup, port) };
}

test('records arrive complete and in order', async (t) => {
  const { port, events, connect } = await source(t, 3);
  const records: Uint8Array[] = [];
  const ring = native.openRingBuffer(events, (record) => records.push(record));
  connect();
  await until('three records', () => records.length === 3);
  t.deepEqual(
    records.map((record) => toU32(record)),
    [0, 1, 2],
  );
  t.true(
    records.every(
      (record) => record.length === 24 && toU32(record, 8) === port && record[12] === 5 && record[14] === 7,
    ),
  );
  ring.close();
  connect();
  await sleep(30);
  t.is(records.length, 3);
});

test('more than one turn takes arrives too, and does not hold up the loop', async (t) => {
  const { events, connect } = await source(t, 900);
  connect();
  let seen = 0;
  let turnsBefore = -1;
  let turns = 0;
  const tick = setInterval(() => turns++, 0);
  t.teardown(() => clearInterval(tick));
  const ring = native.openRingBuffer(events, () => {
    if (seen++ === 0) turnsBefore = turns;
  });
  await until('all records', () => seen === 900);
  t.true(turnsBefore >= 0);
  ring.close();
});

test('close from within the callback is the last record', async (t) => {
  const { events, connect } = await source(t, 5);
  let seen = 0;
  const ring = native.openRingBuffer(events, () => {
    seen++;
    ring.close();
    ring.close();
  });
  connect();
  await until('one record', () => seen === 1);
  await sleep(20);
  t.is(seen, 1);
});

test('only a ring buffer can be opened as one', (t) => {
  const collection = load(t, 'basic', { programs: [] });
  t.is(failure(() => native.openRingBuffer(collection.map('pods'), () => {})).code, 'EINVAL');
  t.throws(() => native.openRingBuffer(collection.map('events'), undefined as never), { instanceOf: TypeError });
  t.throws(() => native.openRingBuffer({} as never, () => {}), { instanceOf: TypeError });
});
