import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { availableParallelism } from 'node:os';
import test from 'ava';
import { failure, load, native, scratchPins, toU32, u32, u64 } from './support/bpf.ts';

const record = (fill: number): Uint8Array => new Uint8Array(24).fill(fill);

test('a hash keeps what was put in', (t) => {
  const pods = load(t, 'basic', { programs: [] }).map('pods');
  t.is(pods.lookup(u32(1)), null);
  pods.update(u32(1), record(9), 'any');
  const found = pods.lookup(u32(1));
  t.deepEqual(found, record(9));
  t.is(Object.getPrototypeOf(found), Uint8Array.prototype);
  t.true(pods.delete(u32(1)));
  t.false(pods.delete(u32(1)));
});

test('update flags give EEXIST, ENOENT and E2BIG', (t) => {
  const pods = load(t, 'basic', { programs: [] }).map('pods');
  pods.update(u32(1), record(1), 'noexist');
  t.like(
    failure(() => pods.update(u32(1), record(2), 'noexist')),
    {
      code: 'EEXIST',
      errno: 17,
      syscall: 'bpf(BPF_MAP_UPDATE_ELEM)',
      message: 'bpf(BPF_MAP_UPDATE_ELEM) pods: EEXIST: file exists',
    },
  );
  t.is(failure(() => pods.update(u32(2), record(2), 'exist')).code, 'ENOENT');
  for (const key of [2, 3, 4]) pods.update(u32(key), record(key), 'any');
  t.is(failure(() => pods.update(u32(5), record(5), 'any')).code, 'E2BIG');
  pods.update(u32(4), record(8), 'exist');
  t.throws(() => pods.update(u32(4), record(8), 'other' as never), { instanceOf: TypeError });
});

test('keys and values have exact sizes', (t) => {
  const pods = load(t, 'basic', { programs: [] }).map('pods');
  t.throws(() => pods.lookup(new Uint8Array(5)), {
    instanceOf: TypeError,
    message: 'key of map pods must be 4 bytes, not 5',
  });
  t.throws(() => pods.lookup(new Uint16Array(2) as never), { instanceOf: TypeError });
  t.throws(() => pods.update(u32(1), new Uint8Array(23), 'any'), { instanceOf: TypeError });
  t.throws(() => pods.delete(undefined as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' });
});

test('a view into a larger buffer counts as its own bytes', (t) => {
  const pods = load(t, 'basic', { programs: [] }).map('pods');
  const frame = new Uint8Array([0, 0, 7, 0, 0, 0, 9]);
  pods.update(frame.subarray(2, 6), record(1), 'any');
  t.deepEqual(pods.lookup(u32(7)), record(1));
});

test('lookupAndDelete takes an entry out', (t) => {
  const collection = load(t, 'basic', { programs: [] });
  const pods = collection.map('pods');
  pods.update(u32(1), record(4), 'any');
  t.deepEqual(pods.lookupAndDelete(u32(1)), record(4));
  t.is(pods.lookupAndDelete(u32(1)), null);

  const queue = collection.map('queue');
  const none = new Uint8Array();
  queue.update(none, u32(11), 'any');
  queue.update(none, u32(12), 'any');
  t.deepEqual(queue.lookupAndDelete(none), u32(11));
  t.deepEqual(queue.lookupAndDelete(none), u32(12));
  t.is(queue.lookupAndDelete(none), null);
  t.is(failure(() => collection.map('prefixes').lookupAndDelete(u64(0))).code, 'ENOTSUPP');
});

test('entries returns all of a map larger than one batch', (t) => {
  const many = load(t, 'basic', { programs: [] }).map('many');
  t.deepEqual(many.entries(), []);
  for (let key = 0; key < 2000; key++) many.update(u32(key), u64(key * 3), 'any');
  const entries = many.entries();
  t.is(entries.length, 2000);
  const sum = new Set(entries.map(([key]) => toU32(key)));
  t.is(sum.size, 2000);
  t.true(entries.every(([key, value]) => toU32(value) === toU32(key) * 3));
});

test('entries works where the kernel has no batches', (t) => {
  const collection = load(t, 'basic', { programs: [] });
  const prefixes = collection.map('prefixes');
  prefixes.update(u32(8, 0x0a), u32(1), 'any');
  prefixes.update(u32(16, 0x010a), u32(2), 'any');
  t.deepEqual(
    prefixes
      .entries()
      .map(([, value]) => toU32(value))
      .sort(),
    [1, 2],
  );
  t.is(collection.map('listeners').entries().length, 0);
});

test('a per-CPU value is all values, 8-byte aligned', (t) => {
  const verdicts = load(t, 'basic', { programs: [] }).map('verdicts');
  const possible = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim();
  const cpus = Number(possible.split('-').at(-1)) + 1;
  t.true(cpus >= availableParallelism());
  t.is(verdicts.info.valueSize, 4);
  t.is(verdicts.lookup(u32(0))?.length, 8 * cpus);
  const value = new Uint8Array(8 * cpus);
  value[0] = 5;
  verdicts.update(u32(1), value, 'any');
  t.deepEqual(verdicts.lookup(u32(1)), value);
  t.is(verdicts.entries().length, 4);
  t.is(failure(() => verdicts.delete(u32(1))).code, 'EINVAL');
});

async function listening(t: { teardown(undo: () => void): void }): Promise<{ server: Server; fd: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { server, fd: (server as unknown as { _handle: { fd: number } })._handle.fd };
}

test('updateFd puts a listening socket into a SOCKMAP', async (t) => {
  const collection = load(t, 'basic', { programs: [] });
  const listeners = collection.map('listeners');
  const { server, fd } = await listening(t);
  t.is(listeners.lookup(u32(0)), null);
  listeners.updateFd(u32(0), fd);
  t.is(listeners.lookup(u32(0))?.length, 8);
  t.true(listeners.delete(u32(0)));
  t.false(listeners.delete(u32(0)));
  listeners.updateFd(u32(1), fd);
  server.close();
  await once(server, 'close');
  t.is(listeners.lookup(u32(1)), null);
});

test('updateFd refuses what is not a socket, and other maps', (t) => {
  const file = openSync('/dev/null', 'r');
  t.teardown(() => closeSync(file));
  const collection = load(t, 'basic', { programs: [] });
  t.is(failure(() => collection.map('listeners').updateFd(u32(0), file)).code, 'ENOTSOCK');
  t.is(failure(() => collection.map('listeners').updateFd(u32(0), 99999)).code, 'EBADF');
  t.is(failure(() => collection.map('many').updateFd(u32(0), 0)).code, 'EINVAL');
  t.throws(() => collection.map('listeners').updateFd(u32(0), -1), { instanceOf: TypeError });
});

test('a pinned map is the same map', (t) => {
  const pins = scratchPins(t);
  const pods = load(t, 'basic', { programs: [] }).map('pods');
  pods.pin(`${pins}/pods`);
  t.is(failure(() => pods.pin(`${pins}/pods`)).code, 'EEXIST');
  pods.update(u32(1), record(6), 'any');
  const again = native.openPinnedMap(`${pins}/pods`);
  t.is(again.info.id, pods.info.id);
  t.deepEqual(again.lookup(u32(1)), record(6));
  again.close();
});

test('what is pinned is opened as what it is', (t) => {
  const pins = scratchPins(t);
  const collection = load(t, 'basic');
  collection.map('pods').pin(`${pins}/map`);
  collection.program('egress').pin(`${pins}/program`);
  const error = failure(() => native.openPinnedMap(`${pins}/none`));
  t.like(error, { code: 'ENOENT', syscall: 'bpf(BPF_OBJ_GET)' });
  t.true(error.message.includes(`${pins}/none`));
  t.is(failure(() => native.openPinnedMap(`${pins}/program`)).code, 'EINVAL');
  t.is(failure(() => native.openPinnedProgram(`${pins}/map`)).code, 'EINVAL');
  t.is(failure(() => native.openPinnedLink(`${pins}/program`)).code, 'EINVAL');
  t.throws(() => native.openPinnedMap('a\0b'), { instanceOf: TypeError });
  t.throws(() => native.openPinnedMap(''), { instanceOf: TypeError });
});
