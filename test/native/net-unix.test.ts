/** Unix sockets and the passing of descriptors. */

import { once } from 'node:events';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { failure, native, openDescriptors, type Scope } from './support/net.ts';

function path(t: Scope): string {
  const directory = mkdtempSync(join(tmpdir(), 'aq-unix-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return join(directory, 'socket');
}

function pair(t: Scope): [client: number, server: number] {
  const name = path(t);
  const listener = native.listenUnix(name);
  const client = native.connectUnix(name);
  const server = native.acceptUnix(listener, 1000);
  closeSync(listener);
  t.teardown(() => closeSync(client));
  t.teardown(() => closeSync(server));
  return [client, server];
}

const bytes = (text: string) => new TextEncoder().encode(text);

test('a message and its descriptors arrive together', (t) => {
  const [client, server] = pair(t);
  const files = [openSync('/etc/hostname', 'r'), openSync('/etc/passwd', 'r')];
  native.sendDescriptors(client, bytes('two files'), files, 1000);
  native.sendDescriptors(client, bytes('none'), [], 1000);
  const first = native.receiveDescriptors(server, 100, 1000);
  t.is(Buffer.from(first?.data ?? []).toString(), 'two files');
  t.deepEqual(
    first?.descriptors.map((fd) => fstatSync(fd).ino),
    files.map((fd) => fstatSync(fd).ino),
  );
  t.deepEqual(
    first?.descriptors.map((fd) => readSync(fd, Buffer.alloc(1))),
    [1, 1],
  );
  t.deepEqual(native.receiveDescriptors(server, 100, 1000), { data: bytes('none'), descriptors: [] });
  for (const fd of [...files, ...(first?.descriptors ?? [])]) closeSync(fd);
});

test('the most that the kernel takes is 253 descriptors', (t) => {
  const [client, server] = pair(t);
  const file = openSync('/dev/null', 'r');
  native.sendDescriptors(client, bytes('x'), new Array<number>(253).fill(file), 1000);
  const received = native.receiveDescriptors(server, 1, 1000)?.descriptors ?? [];
  t.is(received.length, 253);
  for (const fd of received) closeSync(fd);
  t.is(failure(() => native.sendDescriptors(client, bytes('x'), new Array<number>(254).fill(file), 1)).code, 'EINVAL');
  t.is(failure(() => native.sendDescriptors(client, bytes(''), [file], 1)).code, 'EINVAL');
  closeSync(file);
});

test('the end of the stream is null', (t) => {
  const name = path(t);
  const listener = native.listenUnix(name);
  const client = native.connectUnix(name);
  const server = native.acceptUnix(listener, 1000);
  native.sendDescriptors(client, bytes('last'), [], 1000);
  closeSync(client);
  t.is(native.receiveDescriptors(server, 10, 1000)?.data.length, 4);
  t.is(native.receiveDescriptors(server, 10, 1000), null);
  t.is(failure(() => native.sendDescriptors(server, bytes('x'), [], 100)).code, 'EPIPE');
  for (const fd of [listener, server]) closeSync(fd);
});

test('waiting ends at the timeout', (t) => {
  const [client, server] = pair(t);
  const started = performance.now();
  t.is(failure(() => native.receiveDescriptors(server, 10, 60)).code, 'ETIMEDOUT');
  t.true(performance.now() - started >= 55);
  const big = new Uint8Array(100_000);
  const full = failure(() => {
    for (;;) native.sendDescriptors(client, big, [], 20);
  });
  t.is(full.code, 'ETIMEDOUT');
  const name = path(t);
  const listener = native.listenUnix(name);
  t.is(failure(() => native.acceptUnix(listener, 20)).code, 'ETIMEDOUT');
  closeSync(listener);
});

test('a message that is too long is refused whole, and its descriptors are closed', (t) => {
  const [client, server] = pair(t);
  const file = openSync('/dev/null', 'r');
  t.teardown(() => closeSync(file));
  const before = openDescriptors();
  native.sendDescriptors(client, bytes('too long'), [file], 1000);
  t.is(failure(() => native.receiveDescriptors(server, 3, 1000)).code, 'EMSGSIZE');
  t.is(openDescriptors(), before);
});

test('a stream socket carries descriptors too', async (t) => {
  const name = path(t);
  const server = createServer({ pauseOnConnect: true }).listen(name);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const client = native.connectUnix(name);
  const large = new Uint8Array(50_000).fill(7);
  native.sendDescriptors(client, large, [], 1000);
  closeSync(client);
  const [accepted] = (await once(server, 'connection')) as [NodeJS.ReadableStream];
  let total = 0;
  for await (const chunk of accepted.resume() as unknown as AsyncIterable<Buffer>) total += chunk.length;
  t.is(total, large.length);
});

test('only the owner may connect', (t) => {
  const name = path(t);
  const listener = native.listenUnix(name);
  t.is(statSync(name).mode & 0o777, 0o600);
  closeSync(listener);
});

test('failures say what and why', (t) => {
  const name = path(t);
  t.like(
    failure(() => native.connectUnix(name)),
    { code: 'ENOENT', syscall: 'connect' },
  );
  const listener = native.listenUnix(name);
  t.like(
    failure(() => native.listenUnix(name)),
    { code: 'EADDRINUSE', syscall: 'bind' },
  );
  closeSync(listener);
  t.is(failure(() => native.connectUnix(name)).code, 'ECONNREFUSED');
  t.is(failure(() => native.connectUnix('x'.repeat(200))).code, 'ENAMETOOLONG');
  t.is(failure(() => native.receiveDescriptors(1_000_000, 1, 1)).code, 'EBADF');
});
