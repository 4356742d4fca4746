/** Lives and ends of handles: closing, the garbage collector, process exit, workers, several environments. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { until } from '../support/eventually.ts';
import { exists, failure, load, native, objectFile, options, scratchCgroup, scratchPins, u32 } from './support/bpf.ts';

const script = join(import.meta.dirname, 'support', 'handle-script.ts');

/** Runs a scene of support/handle-script.ts in a process of its own; gives what it printed. */
function scene(name: string, argument: string[], flags: string[] = []) {
  const run = spawnSync(process.execPath, [...flags, script, name, ...argument], { encoding: 'utf8', timeout: 30_000 });
  return { status: run.status, signal: run.signal, output: run.stdout.trim(), errors: run.stderr };
}

const closed = (run: () => unknown) => ({ ...failure(run) }).code;

test('close is idempotent and use after it is ERR_CLOSED', (t) => {
  const cgroup = scratchCgroup(t);
  const collection = load(t, 'basic');
  const map = collection.map('pods');
  const program = collection.program('egress');
  const link = native.attachCgroup(cgroup, program, 'egress');
  const ring = native.openRingBuffer(collection.map('events'), () => {});
  const none = new Uint8Array();
  const other = collection.program('egress');
  for (const handle of [ring, link, program, map, collection]) {
    handle.close();
    handle.close();
  }
  const calls: (() => unknown)[] = [
    () => collection.map('pods'),
    () => collection.program('egress'),
    () => collection.mapNames,
    () => collection.programNames,
    () => collection.structLayout('record'),
    () => collection.enumValues('colour'),
    () => map.info,
    () => map.lookup(u32(1)),
    () => map.update(u32(1), new Uint8Array(24), 'any'),
    () => map.updateFd(u32(1), 0),
    () => map.delete(u32(1)),
    () => map.lookupAndDelete(u32(1)),
    () => map.entries(),
    () => map.pin('/sys/fs/bpf/none'),
    () => program.info,
    () => program.pin('/sys/fs/bpf/none'),
    () => program.testRun(none, none, 1),
    () => link.info,
    () => link.update(other),
    () => link.pin('/sys/fs/bpf/none'),
    () => link.unpin(),
    () => link.detach(),
    () => native.attachCgroup(cgroup, program, 'egress'),
    () => native.attachNetns(0, program),
    () => native.openRingBuffer(map, () => {}),
    () => load(t, 'basic', { reuseMaps: { pods: map } }),
  ];
  for (const call of calls) t.is(closed(call), 'ERR_CLOSED', String(call));
  t.deepEqual(native.queryCgroup(cgroup, 'egress'), []);
  other.close();
});

test('a handle cannot be forged', (t) => {
  const collection = load(t, 'basic');
  const map = collection.map('pods');
  const program = collection.program('egress');
  const made = new (map.constructor as new () => typeof map)();
  t.is(
    closed(() => made.info),
    'ERR_CLOSED',
  );
  made.close();
  const info = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(map), 'info');
  t.throws(() => info?.get?.call(program), { instanceOf: TypeError });
  t.throws(() => info?.get?.call({}));
  t.throws(() => map.lookup.call(program as never, u32(1)), { instanceOf: TypeError });
  t.throws(() => native.attachCgroup('/tmp', map as never, 'egress'), { instanceOf: TypeError });
  t.throws(() => native.attachCgroup('/tmp', Object.create(program), 'egress'), { instanceOf: TypeError });
});

test('forgotten handles are collected and their descriptors closed', (t) => {
  const { status, output, errors } = scene('collect', [objectFile(t, 'basic'), scratchCgroup(t)], ['--expose-gc']);
  t.is(status, 0, errors);
  t.is(output, 'left 0');
});

test('a process with open handles exits, and nothing stays', (t) => {
  const cgroup = scratchCgroup(t);
  for (const name of ['leave', 'exit', 'throw']) {
    const { status, output, errors } = scene(name, [objectFile(t, 'basic'), cgroup]);
    t.is(status, name === 'throw' ? 1 : 0, errors);
    t.true(Number(output) > 0);
    t.false(exists('link', Number(output)));
    t.deepEqual(native.queryCgroup(cgroup, 'egress'), []);
  }
});

test('an exception in a record callback is an uncaught exception', (t) => {
  const { status, errors } = scene('callback-throws', [objectFile(t, 'basic'), scratchCgroup(t)]);
  t.is(status, 1);
  t.regex(errors, /from the callback/);
});

test('a ring buffer works until closed, without its handle kept', (t) => {
  const run = scene('forgotten-ring', [objectFile(t, 'basic'), scratchCgroup(t)], ['--expose-gc']);
  t.is(run.output, 'records 1', run.errors);
});

async function killed(t: { teardown(undo: () => void): void }, argument: string[]): Promise<number> {
  const child = spawn(process.execPath, [script, 'hold', ...argument], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const id = Number(line.toString());
  if (!exists('link', id)) throw new Error('the child has no link');
  child.kill('SIGKILL');
  await once(child, 'close');
  return id;
}

test('a killed process takes its unpinned link with it', async (t) => {
  const cgroup = scratchCgroup(t);
  const link = await killed(t, [objectFile(t, 'basic'), cgroup]);
  // The kernel frees links from a work queue.
  await until('the link is gone', () => !exists('link', link), 5000);
  t.deepEqual(native.queryCgroup(cgroup, 'egress'), []);
});

test('a pinned link survives its process', async (t) => {
  const cgroup = scratchCgroup(t);
  const pin = `${scratchPins(t)}/link`;
  const id = await killed(t, [objectFile(t, 'basic'), cgroup, pin]);
  t.is(native.queryCgroup(cgroup, 'egress').length, 1);
  const link = native.openPinnedLink(pin);
  t.is(link.info.id, id);
  link.unpin();
  link.close();
  t.is(native.queryCgroup(cgroup, 'egress').length, 0);
});

test('workers that end or are terminated close what they opened', async (t) => {
  const cgroup = scratchCgroup(t);
  const object = objectFile(t, 'basic');
  const before = load(t, 'basic').map('pods');
  for (const how of ['worker-ends', 'worker-stays']) {
    for (let round = 0; round < 5; round++) {
      const workers = [0, 1].map(() => new Worker(script, { argv: [how, object, cgroup] }));
      const ids = await Promise.all(workers.map(async (worker) => Number((await once(worker, 'message'))[0])));
      if (how === 'worker-stays') await Promise.all(workers.map((worker) => worker.terminate()));
      else await Promise.all(workers.map((worker) => worker.threadId === -1 || once(worker, 'exit')));
      await until('links are gone', () => ids.every((id) => !exists('link', id)), 5000);
    }
  }
  t.deepEqual(native.queryCgroup(cgroup, 'egress'), []);
  t.is(before.lookup(u32(1)), null);
});

test('workers see only their own verifier logs', async (t) => {
  const refused = objectFile(t, 'refused');
  const workers = Array.from({ length: 3 }, () => new Worker(script, { argv: ['worker-refused', refused] }));
  const logs = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as string[]));
  for (const log of logs.flat()) t.is(log.match(/invalid mem access/g)?.length, 1);
  await Promise.all(workers.map((worker) => worker.terminate()));
});

test('loading and closing many times leaks no descriptor', (t) => {
  const collection = load(t, 'basic');
  const { output, errors } = scene('many', [objectFile(t, 'basic'), scratchCgroup(t)]);
  t.is(output, 'left 0', errors);
  t.true(collection.mapNames.length > 0);
  t.is(failure(() => native.loadCollection(new Uint8Array(3), options())).syscall, 'bpf_object__open_mem');
});
