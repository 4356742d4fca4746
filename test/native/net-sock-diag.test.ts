/** Listing and destroying TCP sockets of a namespace. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import test from 'ava';
import type { TcpSocket } from '../../native/index.ts';
import { until } from '../support/eventually.ts';
import { Acceptor, errorOf, failure, native, scratchNetns, socket } from './support/net.ts';

const ESTABLISHED = 1;
const LISTEN = 10;
const all = 2 ** 32 - 1;

function established(netns: number): TcpSocket[] {
  return native.listTcpSockets(netns, 1 << ESTABLISHED);
}

test('sockets are listed with their ends, owner and inode', async (t) => {
  for (const [address, family] of [
    ['127.0.0.1', 4],
    ['::1', 6],
  ] as const) {
    const netns = scratchNetns(t);
    const via = new Acceptor(t, netns, address);
    const [client, server] = await via.pair();
    const found = established(netns);
    t.is(found.length, 2);
    const one = found.find((each) => each.inode === fstatSync(client).ino);
    t.like(one, { family, state: ESTABLISHED, interfaceIndex: 0, uid: 0, remote: via.endpoint });
    t.deepEqual(one?.local, native.socketName(client));
    t.deepEqual(native.listTcpSockets(netns, 1 << LISTEN)[0]?.local, { address: '::', port: via.endpoint.port });
    t.deepEqual(native.listTcpSockets(scratchNetns(t), all), []);
    for (const fd of [client, server]) native.closeSocket(fd, false);
  }
});

test('a destroyed socket ends: ECONNABORTED for its owner, ECONNRESET for the peer', async (t) => {
  for (const address of ['127.0.0.1', '::1']) {
    const netns = scratchNetns(t);
    const [clientFd, serverFd] = await new Acceptor(t, netns, address).pair();
    const local = native.socketName(clientFd);
    const [client, server] = [socket(t, clientFd), socket(t, serverFd)];
    const found = established(netns).find((each) => each.local.port === local.port);
    if (found === undefined) return t.fail('not listed');
    t.true(native.destroySocket(netns, found));
    t.is(await errorOf(client), 'ECONNABORTED');
    t.is(await errorOf(server), 'ECONNRESET');
    t.false(native.destroySocket(netns, found));
  }
});

test('another socket on the same ports is not destroyed', async (t) => {
  const netns = scratchNetns(t);
  const [client, server] = await new Acceptor(t, netns).pair();
  for (const found of established(netns)) {
    t.false(native.destroySocket(netns, { ...found, cookie: found.cookie + 1000n }));
  }
  t.is(established(netns).length, 2);
  for (const fd of [client, server]) native.closeSocket(fd, false);
});

test('the subflow of an MPTCP connection is listed and can be destroyed', async (t) => {
  const netns = scratchNetns(t);
  // 262 is IPPROTO_MPTCP; Node makes TCP sockets only.
  const script = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); s.bind(('127.0.0.1', 0)); s.listen()
c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); c.connect(s.getsockname())
a, _ = s.accept(); c.send(b'x'); a.recv(1)
print(c.getsockname()[1], flush=True)
try: print(len(a.recv(1)), flush=True)
except OSError as e: print(e.errno, flush=True)
`;
  const child = spawn('nsenter', ['--net=/proc/self/fd/3', 'python3', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit', netns],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const stdout = child.stdout;
  if (stdout === null) return t.fail();
  const port = Number(String((await once(stdout, 'data'))[0]));
  const found = established(netns).find((each) => each.local.port === port);
  if (found === undefined) return t.fail('not listed');
  t.true(native.destroySocket(netns, found));
  await until('both subflows are gone', () => established(netns).length === 0);
});

test('thousands of sockets are listed', async (t) => {
  const netns = scratchNetns(t);
  const via = new Acceptor(t, netns);
  const held: number[] = [];
  for (let i = 0; i < 1500; i++) held.push(...(await via.pair()));
  t.is(established(netns).length, 3000);
  for (const fd of held) native.closeSocket(fd, true);
  t.is(established(netns).length, 0);
});

test('arguments that do not fit are refused', (t) => {
  const netns = scratchNetns(t);
  const end = { address: '127.0.0.1', port: 1 };
  const named = {
    family: 4,
    state: 1,
    local: end,
    remote: end,
    interfaceIndex: 0,
    uid: 0,
    inode: 1,
    cookie: 1n,
    mark: 0,
  } as const;
  t.false(native.destroySocket(netns, named));
  t.is(failure(() => native.destroySocket(netns, { ...named, local: { address: '::1', port: 1 } })).code, 'EINVAL');
  t.is(failure(() => native.destroySocket(netns, { ...named, local: { address: 'x', port: 1 } })).code, 'EINVAL');
  t.is(failure(() => native.destroySocket(netns, { ...named, cookie: -1n })).code, 'EINVAL');
  t.is(failure(() => native.listTcpSockets(netns, -1)).code, 'ERR_INVALID_ARG_TYPE');
});
