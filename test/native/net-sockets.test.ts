/** Listening, connecting and socket options in another namespace. */
import { execFileSync } from 'node:child_process';
import { fstatSync } from 'node:fs';
import { connect as connectHere } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { Accepted, NativeError } from '../../native/index.ts';
import {
  Acceptor,
  connect,
  connectOptions,
  errorOf,
  failure,
  ip,
  native,
  scratchNetns,
  socket,
} from './support/net.ts';

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_MARK = 36;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

const listenOptions = { address: '::', port: 0, backlog: 8, transparent: false };
const ignore = () => {};

test('a listener accepts both families and tells addresses in their own form', async (t) => {
  const netns = scratchNetns(t);
  for (const address of ['127.0.0.1', '::1']) {
    const via = new Acceptor(t, netns, address);
    const { fd, local } = await connect(connectOptions(netns, via.endpoint));
    const accepted = await via.accept();
    t.deepEqual(accepted, { fd: accepted.fd, local: via.endpoint, remote: local, mark: 0 });
    t.deepEqual(native.socketName(accepted.fd), via.endpoint);
    t.deepEqual(native.peerName(accepted.fd), local);
    t.deepEqual(native.peerName(fd), via.endpoint);
    native.closeSocket(fd, false);
    native.closeSocket(accepted.fd, false);
  }
});

test('sockets are in their namespace and no other', async (t) => {
  const [one, other] = [scratchNetns(t), scratchNetns(t)];
  const via = new Acceptor(t, one);
  await t.throwsAsync(connect(connectOptions(other, via.endpoint)), { code: 'ECONNREFUSED' });
  const here = connectHere(via.endpoint.port, '127.0.0.1');
  await new Promise((resolve) => here.once('error', resolve));
  const { fd } = await connect(connectOptions(one, via.endpoint));
  native.closeSocket(fd, false);
  native.closeSocket((await via.accept()).fd, false);
});

test('accepted and connected sockets are non-blocking, close-on-exec and without delay', async (t) => {
  const [client, server] = await new Acceptor(t, scratchNetns(t)).pair();
  for (const fd of [client, server]) {
    t.is(native.getSocketOption(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    const flags = execFileSync('grep', ['flags', `/proc/${process.pid}/fdinfo/${fd}`], { encoding: 'utf8' });
    const bits = Number.parseInt(flags.split(/\s+/)[1] ?? '', 8);
    t.is(bits & 0o2004000, 0o2004000);
    native.closeSocket(fd, false);
  }
});

test('a connect takes its source address, port and mark', async (t) => {
  const netns = scratchNetns(t);
  const via = new Acceptor(t, netns);
  const from = { address: '127.0.0.9', port: 0 };
  const { fd, local } = await connect(connectOptions(netns, via.endpoint, { from, mark: 0x41510003 }));
  t.is(local.address, '127.0.0.9');
  t.is(native.getSocketOption(fd, SOL_SOCKET, SO_MARK), 0x41510003);
  const accepted = await via.accept();
  t.deepEqual(accepted.remote, local);
  const exact = { address: '127.0.0.9', port: 4321 };
  const second = await connect(connectOptions(netns, via.endpoint, { from: exact }));
  t.deepEqual(second.local, exact);
  for (const each of [fd, accepted.fd, second.fd, (await via.accept()).fd]) native.closeSocket(each, false);
});

test('a foreign source address needs transparent, in both families', async (t) => {
  const netns = scratchNetns(t);
  ip(netns, 'route', 'add', 'local', '203.0.113.0/24', 'dev', 'lo');
  ip(netns, 'route', 'add', 'local', '2001:db8::/64', 'dev', 'lo');
  for (const [address, foreign] of [
    ['127.0.0.1', '198.51.100.7'],
    ['::1', '2001:db8:1::7'],
  ] as const) {
    const via = new Acceptor(t, netns, address);
    const from = { address: foreign, port: 0 };
    await t.throwsAsync(connect(connectOptions(netns, via.endpoint, { from })), { code: 'EADDRNOTAVAIL' });
    // Answers to it go nowhere here: the SYN leaves with it, which is all that the socket can show.
    const refused = connect(connectOptions(netns, via.endpoint, { from, transparent: true, timeoutMs: 100 }));
    await t.throwsAsync(refused, { code: 'ETIMEDOUT' });
  }
});

test('under a foreign address ports are taken where its owner takes none, and a 4-tuple in use is passed over', async (t) => {
  const netns = scratchNetns(t);
  const via = new Acceptor(t, netns);
  const options = connectOptions(netns, via.endpoint, { from: { address: '127.0.0.2', port: 0 }, transparent: true });
  const first = await connect(options);
  native.closeSocket((await via.accept()).fd, false);
  t.true(first.local.port >= 10240 && first.local.port <= 32767, `port ${first.local.port}`);
  // What stands in the way of the next one: the same source and destination under the port that comes next.
  const next = first.local.port === 32767 ? 10240 : first.local.port + 1;
  const inTheWay = await connect({ ...options, from: { address: '127.0.0.2', port: next } });
  native.closeSocket((await via.accept()).fd, false);
  const second = await connect(options);
  native.closeSocket((await via.accept()).fd, false);
  t.is(inTheWay.local.port, next);
  t.true(
    second.local.port >= 10240 && second.local.port <= 32767 && second.local.port !== next,
    `${second.local.port}`,
  );
  for (const { fd } of [first, inTheWay, second]) native.closeSocket(fd, false);
});

test('a refused connect says who and why', async (t) => {
  const netns = scratchNetns(t);
  const error = await t.throwsAsync<NativeError>(connect(connectOptions(netns, { address: '127.0.0.1', port: 9 })));
  t.like(error, { code: 'ECONNREFUSED', errno: 111, syscall: 'connect' });
  t.regex(error?.message ?? '', /127\.0\.0\.1 port 9/);
  const nowhere = connect(connectOptions(netns, { address: '192.0.2.1', port: 9 }));
  await t.throwsAsync(nowhere, { code: 'ENETUNREACH' });
});

test('a connect that nobody answers ends at its timeout', async (t) => {
  const netns = scratchNetns(t);
  ip(netns, 'link', 'add', 'hole', 'type', 'veth', 'peer', 'name', 'end');
  ip(netns, 'addr', 'add', '192.0.2.1/24', 'dev', 'hole');
  ip(netns, 'link', 'set', 'hole', 'up');
  ip(netns, 'link', 'set', 'end', 'up');
  const timeouts = [80, 40, 120];
  const started = performance.now();
  const order: number[] = [];
  await Promise.all(
    timeouts.map(async (timeoutMs) => {
      const attempt = connect(connectOptions(netns, { address: '192.0.2.9', port: 9 }, { timeoutMs }));
      await t.throwsAsync(attempt, { code: 'ETIMEDOUT' });
      t.true(performance.now() - started >= timeoutMs - 2);
      order.push(timeoutMs);
    }),
  );
  t.deepEqual(order, [40, 80, 120]);
});

test('a cancelled connect never calls back, and may be cancelled again', async (t) => {
  const netns = scratchNetns(t);
  const via = new Acceptor(t, netns);
  let called = 0;
  const options = connectOptions(netns, via.endpoint);
  for (const to of [via.endpoint, { address: '127.0.0.1', port: 9 }]) {
    const connector = native.connect({ ...options, to }, () => called++);
    connector.cancel();
    connector.cancel();
  }
  const after = native.connect(options, (_error, fd) => {
    after.cancel();
    native.closeSocket(fd, false);
  });
  await sleep(60);
  t.is(called, 0);
});

test('the callback never runs inside connect', async (t) => {
  const netns = scratchNetns(t);
  let inside = true;
  const finished = new Promise<boolean>((resolve) => {
    native.connect(connectOptions(netns, { address: '127.0.0.1', port: 9 }), () => resolve(inside));
  });
  inside = false;
  t.false(await finished);
});

test('a reset close is a RST, a plain one a FIN', async (t) => {
  const via = new Acceptor(t, scratchNetns(t));
  const [one, reset] = await via.pair();
  native.closeSocket(reset, true);
  t.is(await errorOf(socket(t, one)), 'ECONNRESET');
  const [other, finished] = await via.pair();
  native.closeSocket(finished, false);
  const reader = socket(t, other);
  reader.resume();
  await new Promise((resolve) => reader.once('end', resolve));
  t.is(reader.failed, null);
});

test('a batch is accepted in turns, and none is forgotten', async (t) => {
  const netns = scratchNetns(t);
  const accepted: Accepted[] = [];
  const listener = native.listen({ ...listenOptions, netns, backlog: 200 }, 3, (each) => accepted.push(each), ignore);
  t.teardown(() => listener.close());
  const to = { address: '127.0.0.1', port: listener.port };
  const clients = await Promise.all(Array.from({ length: 100 }, () => connect(connectOptions(netns, to))));
  while (accepted.length < 100) await sleep(1);
  t.is(new Set(accepted.map((each) => each.remote.port)).size, 100);
  for (const each of [...clients, ...accepted]) native.closeSocket(each.fd, false);
});

test('a closed listener refuses, is idempotent, and its use is ERR_CLOSED', async (t) => {
  const netns = scratchNetns(t);
  const listener = native.listen({ ...listenOptions, netns }, 8, () => t.fail(), ignore);
  const to = { address: '127.0.0.1', port: listener.port };
  t.true(fstatSync(listener.fd).isSocket());
  listener.close();
  listener.close();
  t.is(failure(() => listener.port).code, 'ERR_CLOSED');
  t.is(failure(() => listener.fd).code, 'ERR_CLOSED');
  await t.throwsAsync(connect(connectOptions(netns, to)), { code: 'ECONNREFUSED' });
});

test('a listener may be closed by its own callback in the middle of a batch', async (t) => {
  const netns = scratchNetns(t);
  const seen: number[] = [];
  const listener = native.listen(
    { ...listenOptions, netns },
    8,
    (accepted) => {
      seen.push(accepted.fd);
      listener.close();
    },
    ignore,
  );
  const to = { address: '127.0.0.1', port: listener.port };
  const clients = await Promise.all([1, 2, 3].map(() => connect(connectOptions(netns, to)).catch(() => null)));
  await sleep(30);
  t.is(seen.length, 1);
  for (const fd of [...seen, ...clients.flatMap((each) => each?.fd ?? [])]) native.closeSocket(fd, false);
});

test('an address in use is refused with its name', (t) => {
  const netns = scratchNetns(t);
  const first = native.listen({ ...listenOptions, netns }, 8, ignore, ignore);
  t.teardown(() => first.close());
  const second = () => native.listen({ ...listenOptions, netns, port: first.port }, 8, ignore, ignore);
  t.like(failure(second), { code: 'EADDRINUSE', syscall: 'bind' });
  t.regex(failure(second).message, new RegExp(`:: port ${first.port}`));
  t.is(
    failure(() => native.listen({ ...listenOptions, netns, address: '9.9.9.9' }, 8, ignore, ignore)).code,
    'EADDRNOTAVAIL',
  );
});

test('arguments that do not fit are refused before anything is opened', (t) => {
  const netns = scratchNetns(t);
  const listen = (change: object, batch = 8) =>
    failure(() => native.listen({ ...listenOptions, netns, ...change }, batch, ignore, ignore)).code;
  t.is(listen({ address: 'localhost' }), 'EINVAL');
  t.is(listen({ address: '127.0.0.1\0' }), 'EINVAL');
  t.is(listen({ port: 65536 }), 'ERR_INVALID_ARG_TYPE');
  t.is(listen({ netns: -1 }), 'ERR_INVALID_ARG_TYPE');
  t.is(listen({ netns: 1_000_000 }), 'EBADF');
  t.is(listen({}, 0), 'ERR_INVALID_ARG_TYPE');
  const to = { address: '127.0.0.1', port: 1 };
  const attempt = (change: object) =>
    failure(() => native.connect({ ...connectOptions(netns, to), ...change }, ignore)).code;
  t.is(attempt({ to: { address: 'x', port: 1 } }), 'EINVAL');
  t.is(attempt({ from: { address: '::1', port: 0 } }), 'EINVAL');
  t.is(attempt({ timeoutMs: 0 }), 'ERR_INVALID_ARG_TYPE');
  t.is(attempt({ mark: 2 ** 32 }), 'ERR_INVALID_ARG_TYPE');
});

test('a connect in a namespace that is gone fails through its callback', async (t) => {
  const to = { address: '127.0.0.1', port: 1 };
  await t.throwsAsync(connect(connectOptions(1_000_000, to)), { code: 'EBADF' });
});

test('socket options are read and written', async (t) => {
  const [client, server] = await new Acceptor(t, scratchNetns(t)).pair();
  native.setSocketOption(client, SOL_SOCKET, SO_RCVBUF, 20_000);
  t.is(native.getSocketOption(client, SOL_SOCKET, SO_RCVBUF), 40_000);
  t.is(failure(() => native.setSocketOption(client, SOL_SOCKET, 9999, 1)).code, 'ENOPROTOOPT');
  t.is(failure(() => native.getSocketOption(1_000_000, SOL_SOCKET, SO_RCVBUF)).code, 'EBADF');
  t.is(failure(() => native.closeSocket(1_000_000, false)).code, 'EBADF');
  for (const fd of [client, server]) native.closeSocket(fd, false);
  t.is(failure(() => native.socketName(client)).code === undefined, false);
});
