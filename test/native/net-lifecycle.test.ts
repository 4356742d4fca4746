/** Lives and ends of sockets: the garbage collector, process exit, workers, running out of descriptors. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { until } from '../support/eventually.ts';
import { Acceptor, failure, native, openDescriptors, relayDefaults, type Scope, scratchNetns } from './support/net.ts';

const script = join(import.meta.dirname, 'support', 'net-script.ts');

function scene(t: Scope, name: string, flags: string[] = [], wrapper: string[] = []) {
  const [command = process.execPath, ...rest] = [...wrapper, process.execPath, ...flags, script, name];
  const run = spawnSync(command, rest, {
    stdio: ['ignore', 'pipe', 'pipe', scratchNetns(t)],
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status: run.status, signal: run.signal, lines: run.stdout.trim().split('\n'), errors: run.stderr };
}

test('a process exits in the middle of everything', (t) => {
  t.like(scene(t, 'exit'), { status: 0, signal: null, lines: ['running'] });
  t.like(scene(t, 'throw'), { status: 1, signal: null, lines: ['running'] });
});

test('an open relay keeps the process alive, one that has ended does not', (t) => {
  t.like(scene(t, 'idle-loop'), { status: 0, lines: ['idle'] });
});

test('a relay that nobody holds works until it ends', (t) => {
  const run = scene(t, 'collect', ['--expose-gc']);
  t.like(run, { status: 0, lines: ['still there', 'eof'] }, run.errors);
});

test('without descriptors accepting pauses 100 ms, says so, and goes on', (t) => {
  const started = performance.now();
  const run = scene(t, 'descriptors', [], ['prlimit', '--nofile=64:64']);
  t.is(run.status, 0, run.errors);
  t.deepEqual(run.lines, ['EMFILE', 'EMFILE', 'EMFILE', 'accepted']);
  t.true(performance.now() - started >= 300);
});

test.serial('a worker that is terminated in the middle of everything leaves no descriptor', async (t) => {
  const netns = scratchNetns(t);
  const before = openDescriptors();
  for (let round = 0; round < 5; round++) {
    const worker = new Worker(script, { argv: ['worker'], workerData: netns });
    await once(worker, 'message');
    t.true(openDescriptors() > before);
    await worker.terminate();
    await until('all are closed', () => openDescriptors() === before, 5000);
  }
});

test.serial('workers do not disturb the relays of others', async (t) => {
  const netns = scratchNetns(t);
  const via = new Acceptor(t, netns);
  const [a, b] = await via.pair();
  const [c, d] = await via.pair();
  const { promise, resolve } = Promise.withResolvers<{ cause: string }>();
  native.relay(b, c, relayDefaults, resolve);
  const workers = [1, 2].map(() => new Worker(script, { argv: ['worker'], workerData: netns }));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  await Promise.all(workers.map((worker) => worker.terminate()));
  native.closeSocket(a, false);
  native.closeSocket(d, false);
  t.is((await promise).cause, 'eof');
});

test('handles cannot be forged', async (t) => {
  const netns = scratchNetns(t);
  const via = new Acceptor(t, netns);
  const [a, b] = await via.pair();
  const relay = native.relay(a, b, relayDefaults, () => {});
  const made = new (relay.constructor as new () => typeof relay)();
  t.is(made.bytesSent(), 0);
  made.close('reset');
  t.is(failure(() => made.release()).code, 'ERR_CLOSED');
  t.throws(() => relay.bytesSent.call({} as never), { instanceOf: TypeError });
  t.throws(() => relay.close.call(via.listener as never, 'reset'), { instanceOf: TypeError });
  t.throws(() => relay.close('abort' as never), { instanceOf: TypeError });
  const listener = new (via.listener.constructor as new () => typeof via.listener)();
  t.is(failure(() => listener.fd).code, 'ERR_CLOSED');
  listener.close();
  relay.close('finish');
});
