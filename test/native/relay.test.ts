/** What the relay promises about bytes, half-close and its own life. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { until } from '../support/eventually.ts';
import {
  Acceptor,
  digest,
  failure,
  native,
  openDescriptors,
  read,
  relayDefaults,
  relayed,
  scratchNetns,
  socket,
} from './support/net.ts';

test('bytes pass both ways and are counted', async (t) => {
  const { client, server, relay, end } = await relayed(t, new Acceptor(t, scratchNetns(t)));
  client.write('question');
  t.is(await read(server, 8), 'question');
  server.write('long answer');
  t.is(await read(client, 11), 'long answer');
  t.deepEqual([relay.bytesSent(), relay.bytesReceived()], [8, 11]);
  client.end();
  server.end();
  const clean = { bytesSent: 8, bytesReceived: 11, cause: 'eof', errno: 0, code: '' };
  t.deepEqual(await end, { ...clean, cause: 'eof' });
  t.deepEqual([relay.bytesSent(), relay.bytesReceived()], [8, 11]);
});

test('bytes that were there before the relay pass first', async (t) => {
  const via = new Acceptor(t, scratchNetns(t));
  const [clientFd, downstream] = await via.pair();
  const client = socket(t, clientFd);
  client.write('early');
  client.end();
  await sleep(20);
  const [upstream, serverFd] = await via.pair();
  const { promise, resolve } = Promise.withResolvers();
  native.relay(downstream, upstream, relayDefaults, resolve);
  const server = socket(t, serverFd);
  t.is((await digest(server)).bytes, 5);
  server.end();
  await promise;
});

for (const first of ['client', 'server'] as const) {
  test(`a half-close by the ${first} is passed on, and the other way stays open`, async (t) => {
    const both = await relayed(t, new Acceptor(t, scratchNetns(t)));
    const [closing, staying] = first === 'client' ? [both.client, both.server] : [both.server, both.client];
    closing.end('last words');
    t.is((await digest(staying)).bytes, 10);
    for (let i = 0; i < 3; i++) {
      staying.write('still here');
      t.is(await read(closing, 10), 'still here');
      await sleep(5);
    }
    staying.end();
    t.is((await digest(closing)).bytes, 0);
    t.is((await both.end).cause, 'eof');
  });
}

test('a half-close right behind a large body loses nothing', async (t) => {
  const { client, server, end } = await relayed(t, new Acceptor(t, scratchNetns(t)), { bufferBytes: 4096 });
  client.end(Buffer.alloc(5_000_000, 'x'));
  t.is((await digest(server)).bytes, 5_000_000);
  server.end(Buffer.alloc(3_000_000, 'y'));
  t.is((await digest(client)).bytes, 3_000_000);
  t.like(await end, { bytesSent: 5_000_000, bytesReceived: 3_000_000, cause: 'eof' });
});

test.serial('both sockets are closed when onEnd is called, once', async (t) => {
  const { client, server, end, downstream, upstream, relay } = await relayed(t, new Acceptor(t, scratchNetns(t)));
  client.end();
  server.end();
  client.resume();
  server.resume();
  await end;
  await Promise.all([once(client, 'close'), once(server, 'close')]);
  t.throws(() => fstatSync(downstream));
  t.throws(() => fstatSync(upstream));
  relay.close('reset');
  relay.close('finish');
  t.is(failure(() => relay.release()).code, 'ERR_CLOSED');
});

test('close with a reset is a RST for both', async (t) => {
  const { client, server, relay, end } = await relayed(t, new Acceptor(t, scratchNetns(t)));
  client.resume();
  server.resume();
  let ended = false;
  void end.then(() => {
    ended = true;
  });
  relay.close('reset');
  relay.close('reset');
  t.false(ended);
  t.deepEqual(await end, { bytesSent: 0, bytesReceived: 0, cause: 'closed', errno: 0, code: '' });
  await until('both saw it', () => client.failed?.code === 'ECONNRESET' && server.failed?.code === 'ECONNRESET');
});

test('close with a finish is a FIN for both, unread bytes or not', async (t) => {
  const { client, server, relay, end } = await relayed(t, new Acceptor(t, scratchNetns(t)));
  client.write('never read');
  relay.close('finish');
  t.is((await end).cause, 'closed');
  t.is((await digest(client)).bytes, 0);
  await digest(server);
  t.is(client.failed, null);
  t.is(server.failed, null);
});

test('an idle relay ends at its timeout by a RST; one that moves does not', async (t) => {
  const via = new Acceptor(t, scratchNetns(t));
  const started = performance.now();
  const idle = await relayed(t, via, { idleTimeoutMs: 80 });
  const busy = await relayed(t, via, { idleTimeoutMs: 80 });
  busy.server.resume();
  const ticking = setInterval(() => busy.client.write('.'), 20);
  idle.client.resume();
  idle.server.resume();
  t.deepEqual(await idle.end, { bytesSent: 0, bytesReceived: 0, cause: 'idle', errno: 110, code: 'ETIMEDOUT' });
  t.true(performance.now() - started >= 79);
  await until('both saw a RST', () => idle.client.failed !== null && idle.server.failed !== null);
  await sleep(150);
  clearInterval(ticking);
  t.true(busy.relay.bytesSent() > 5);
  t.is((await busy.end).cause, 'idle');
});

test('urgent data stays in its place, and what follows is not held up', async (t) => {
  const netns = scratchNetns(t);
  const via = new Acceptor(t, netns);
  // Node cannot send urgent data.
  const script = `
import socket, sys, time
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
for i in range(20):
  s.send(b'abc'); s.send(b'!', socket.MSG_OOB); s.send(b'def')
  if i % 3 == 0: time.sleep(0.01)
`;
  const argv = ['--net=/proc/self/fd/3', 'python3', '-c', script, String(via.endpoint.port)];
  const child = spawn('nsenter', argv, { stdio: ['ignore', 'inherit', 'inherit', netns] });
  t.teardown(() => child.kill('SIGKILL'));
  const downstream = (await via.accept()).fd;
  const [upstream, serverFd] = await via.pair();
  const relay = native.relay(downstream, upstream, relayDefaults, () => {});
  t.teardown(() => relay.close('reset'));
  const server = socket(t, serverFd);
  t.is(await read(server, 140), 'abc!def'.repeat(20));
});

test('release gives both sockets back as they are', async (t) => {
  const via = new Acceptor(t, scratchNetns(t));
  const { client, server, relay, downstream, upstream } = await relayed(t, via);
  client.write('before');
  t.is(await read(server, 6), 'before');
  t.deepEqual(relay.release(), { downstream, upstream });
  t.is(failure(() => relay.release()).code, 'ERR_CLOSED');
  relay.close('reset');
  client.write('between');
  await sleep(20);
  const { promise, resolve } = Promise.withResolvers<{ cause: string }>();
  const again = native.relay(downstream, upstream, relayDefaults, resolve);
  t.is(await read(server, 7), 'between');
  t.is(again.bytesSent(), 7);
  again.close('reset');
  t.is((await promise).cause, 'closed');
});

test('a relay of what is no socket, or of one that has a relay, is refused and takes nothing', async (t) => {
  const via = new Acceptor(t, scratchNetns(t));
  const [a, b] = await via.pair();
  const [c, d] = await via.pair();
  const end = () => {};
  const relay = native.relay(a, c, relayDefaults, end);
  t.is(failure(() => native.relay(b, a, relayDefaults, end)).code, 'EEXIST');
  t.is(failure(() => native.relay(b, b, relayDefaults, end)).code, 'EEXIST');
  t.is(failure(() => native.relay(b, 1_000_000, relayDefaults, end)).code, 'EBADF');
  t.is(failure(() => native.relay(b, d, { ...relayDefaults, bufferBytes: 0 }, end)).code, 'ERR_INVALID_ARG_TYPE');
  const second = native.relay(b, d, relayDefaults, end);
  relay.close('reset');
  second.close('reset');
});

test('what a callback throws is an uncaught exception, and the others go on', async (t) => {
  const via = new Acceptor(t, scratchNetns(t));
  const { promise, resolve } = Promise.withResolvers<Error>();
  const [a, b] = await via.pair();
  const [c, d] = await via.pair();
  // AVA listens too: what it must not see is taken off for the time being.
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', resolve);
  native.relay(a, c, relayDefaults, () => {
    throw new Error('from a callback');
  });
  const other = await relayed(t, via);
  native.closeSocket(b, true);
  t.is((await promise).message, 'from a callback');
  for (const listener of listeners) process.on('uncaughtException', listener);
  native.closeSocket(d, false);
  other.client.write('on');
  t.is(await read(other.server, 2), 'on');
});

test.serial('many short relays leave no descriptor behind', async (t) => {
  const via = new Acceptor(t, scratchNetns(t));
  const before = openDescriptors();
  for (let i = 0; i < 200; i++) {
    const [clientFd, downstream] = await via.pair();
    const [upstream, serverFd] = await via.pair();
    const { promise, resolve } = Promise.withResolvers();
    native.relay(downstream, upstream, relayDefaults, resolve);
    native.closeSocket(clientFd, i % 2 === 0);
    native.closeSocket(serverFd, i % 3 === 0);
    await promise;
  }
  t.is(openDescriptors(), before);
});
