/** Namespaces, cgroup ids and sysctls. */
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import test from 'ava';
import { failure, native, scratchNetns } from './support/net.ts';

const own = '/proc/thread-self/ns/net';

test('a new namespace is another one, with loopback up', (t) => {
  const netns = scratchNetns(t);
  t.not(fstatSync(netns).ino, statSync(own).ino);
  t.not(native.netnsCookie(netns), native.netnsCookie(scratchNetns(t)));
  const addresses = native.listAddresses(netns);
  t.deepEqual(
    addresses.map((each) => `${each.interfaceName} ${each.family} ${each.address}/${each.prefixLength}`),
    ['lo 4 127.0.0.1/8', 'lo 6 ::1/128'],
  );
});

test('a namespace opened by path is the one that a process sees', (t) => {
  const netns = native.openNetns('/proc/self/ns/net');
  t.teardown(() => closeSync(netns));
  t.is(fstatSync(netns).ino, statSync(own).ino);
  t.is(native.netnsCookie(netns), native.netnsCookie(netns));
});

test('a path that is no namespace is refused', (t) => {
  t.like(
    failure(() => native.openNetns('/proc/self/ns/none')),
    { code: 'ENOENT', errno: 2, syscall: 'open' },
  );
  t.is(failure(() => native.openNetns('/etc/hostname')).code, 'EINVAL');
  t.is(failure(() => native.openNetns('a\0b')).code, 'ERR_INVALID_ARG_TYPE');
});

test('a descriptor that is no namespace is refused, and the thread stays where it was', (t) => {
  const before = statSync(own).ino;
  const file = openSync('/etc/hostname', 'r');
  t.teardown(() => closeSync(file));
  t.like(
    failure(() => native.netnsCookie(file)),
    { code: 'EINVAL', syscall: 'setns' },
  );
  t.is(failure(() => native.netnsCookie(1_000_000)).code, 'EBADF');
  t.is(failure(() => native.listRules(file)).code, 'EINVAL');
  t.is(statSync(own).ino, before);
});

test('the thread is back in its own namespace after each call', (t) => {
  const before = statSync(own).ino;
  const netns = scratchNetns(t);
  native.netnsCookie(netns);
  native.readSysctl(netns, 'net/ipv4/ip_forward');
  native
    .listen(
      { netns, address: '::', port: 0, backlog: 1, transparent: false },
      1,
      () => {},
      () => {},
    )
    .close();
  native.connect(
    { netns, to: { address: '127.0.0.1', port: 1 }, from: null, transparent: false, mark: 0, timeoutMs: 100 },
    () => {},
  );
  native.listTcpSockets(netns, 2 ** 32 - 1);
  t.is(statSync(own).ino, before);
});

test('a sysctl is read and written in its namespace alone', (t) => {
  const [one, other] = [scratchNetns(t), scratchNetns(t)];
  const name = 'net/ipv4/tcp_fwmark_accept';
  const mine = readFileSync(`/proc/sys/${name}`, 'utf8');
  native.writeSysctl(one, name, '1');
  t.is(native.readSysctl(one, name), '1');
  t.is(native.readSysctl(other, name), '0');
  t.is(readFileSync(`/proc/sys/${name}`, 'utf8'), mine);
});

test('a sysctl that is refused says which', (t) => {
  const netns = scratchNetns(t);
  const error = failure(() => native.writeSysctl(netns, 'net/ipv4/tcp_fwmark_accept', 'rubbish'));
  t.like(error, { code: 'EINVAL', syscall: 'write' });
  t.regex(error.message, /tcp_fwmark_accept 'rubbish'/);
  t.is(failure(() => native.readSysctl(netns, 'net/ipv4/none')).code, 'ENOENT');
  t.is(failure(() => native.readSysctl(netns, '../../etc/passwd')).code, 'ERR_INVALID_ARG_TYPE');
  t.is(failure(() => native.readSysctl(netns, '/etc/passwd')).code, 'ERR_INVALID_ARG_TYPE');
});

test('a cgroup id is that of its inode', (t) => {
  const mount = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1];
  if (mount === undefined) return t.fail('no cgroup v2 hierarchy is mounted');
  const path = `${mount}/aq-net-${process.pid}`;
  mkdirSync(path);
  t.teardown(() => rmdirSync(path));
  t.is(native.cgroupId(path), statSync(path, { bigint: true }).ino);
  t.is(failure(() => native.cgroupId('/proc')).code, 'EINVAL');
  t.is(failure(() => native.cgroupId(`${path}/none`)).code, 'ENOENT');
});

test('a namespace ends with its last descriptor', (t) => {
  const before = native.createNetns();
  const path = `/proc/self/fd/${before}`;
  t.is(
    spawnSync('nsenter', ['--net=/proc/self/fd/3', 'true'], { stdio: ['ignore', 'ignore', 'ignore', before] }).status,
    0,
  );
  closeSync(before);
  t.throws(() => statSync(path));
});
