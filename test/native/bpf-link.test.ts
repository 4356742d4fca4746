import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import test from 'ava';
import { connectFrom, exists, failure, load, native, scratchCgroup, scratchPins, u32 } from './support/bpf.ts';

const little = (port: number): Uint8Array => new Uint8Array([port & 255, port >> 8]);

async function port(t: { teardown(undo: () => void): void }): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

test('an attached program decides until its link is closed', async (t) => {
  const refused = await port(t);
  const cgroup = scratchCgroup(t);
  const program = load(t, 'basic', { constants: { refused_port: little(refused) } }).program('connect4');
  const link = native.attachCgroup(cgroup, program, 'connect4');
  t.regex(connectFrom(cgroup, refused), /Operation not permitted/);
  t.is(connectFrom(cgroup, await port(t)), '');
  t.is(link.info.programId, program.info.id);
  t.is(link.info.type, 3);
  link.close();
  t.is(connectFrom(cgroup, refused), '');
});

test('one program goes to many cgroups', async (t) => {
  const refused = await port(t);
  const program = load(t, 'basic', { constants: { refused_port: little(refused) } }).program('connect4');
  const cgroups = [scratchCgroup(t), scratchCgroup(t), scratchCgroup(t)];
  const links = cgroups.map((cgroup) => native.attachCgroup(cgroup, program, 'connect4'));
  for (const cgroup of cgroups) t.regex(connectFrom(cgroup, refused), /Operation not permitted/);
  links[0]?.close();
  t.is(connectFrom(cgroups[0] ?? '', refused), '');
  t.regex(connectFrom(cgroups[1] ?? '', refused), /Operation not permitted/);
  for (const link of links) link.close();
});

/** What runs at a cgroup, programs of a mesh at the root of this machine included. */
function namesAt(cgroup: string, attach: Parameters<typeof native.queryCgroup>[1]): string[] {
  return native.queryCgroup(cgroup, attach).map((program) => program.name);
}

test('every cgroup hook takes its program and refuses another', (t) => {
  const cgroup = scratchCgroup(t);
  const collection = load(t, 'basic');
  const hooks = {
    connect4: 'connect4',
    connect6: 'connect6',
    ingress: 'ingress',
    egress: 'egress',
    sock_ops: 'count_sockets',
  } as const;
  for (const [attach, name] of Object.entries(hooks) as [keyof typeof hooks, string][]) {
    const above = namesAt(cgroup, attach);
    const link = native.attachCgroup(cgroup, collection.program(name), attach);
    t.deepEqual(namesAt(cgroup, attach), [name, ...above]);
    link.close();
    t.deepEqual(namesAt(cgroup, attach), above);
  }
  const error = failure(() => native.attachCgroup(cgroup, collection.program('connect4'), 'connect6'));
  t.like(error, { code: 'EINVAL', syscall: 'bpf(BPF_LINK_CREATE)' });
  t.true(error.message.includes(cgroup));
});

test('queryCgroup lists ancestors in the order in which they run', (t) => {
  const outer = scratchCgroup(t);
  const inner = scratchCgroup(t, outer);
  const first = load(t, 'basic').program('egress');
  const second = load(t, 'refused', { programs: ['fine'] }).program('fine');
  const links = [native.attachCgroup(outer, first, 'egress'), native.attachCgroup(inner, second, 'egress')];
  t.deepEqual(native.queryCgroup(outer, 'egress'), [first.info]);
  t.deepEqual(native.queryCgroup(inner, 'egress'), [second.info, first.info]);
  for (const link of links) link.close();
});

test('queryCgroup has room for many', (t) => {
  const path: string[] = [scratchCgroup(t), scratchCgroup(t)];
  const cgroup = path[0] ?? '';
  const links = Array.from({ length: 63 }, () =>
    native.attachCgroup(cgroup, load(t, 'refused', { programs: ['fine'] }).program('fine'), 'egress'),
  );
  const inner = scratchCgroup(t, cgroup);
  const more = Array.from({ length: 20 }, () =>
    native.attachCgroup(inner, load(t, 'refused', { programs: ['fine'] }).program('fine'), 'egress'),
  );
  t.is(native.queryCgroup(inner, 'egress').length, 83);
  for (const link of [...links, ...more]) link.close();
});

test('a cgroup that is missing or no cgroup is refused', (t) => {
  const program = load(t, 'basic').program('egress');
  t.like(
    failure(() => native.attachCgroup('/sys/fs/cgroup/none', program, 'egress')),
    { code: 'ENOENT', syscall: 'open' },
  );
  t.is(failure(() => native.attachCgroup('/tmp', program, 'egress')).code, 'EBADF');
  t.is(failure(() => native.queryCgroup('/nowhere', 'egress')).code, 'ENOENT');
  t.throws(() => native.queryCgroup('/tmp', 'all' as never), { instanceOf: TypeError });
  t.throws(() => native.attachCgroup('/tmp', {} as never, 'egress'), { instanceOf: TypeError });
});

test('cgroupId is the inode number of the directory', (t) => {
  const cgroup = scratchCgroup(t);
  t.is(native.cgroupId(cgroup), statSync(cgroup, { bigint: true }).ino);
  t.is(failure(() => native.cgroupId('/nowhere')).code, 'ENOENT');
});

test('update replaces the program in place', async (t) => {
  const refused = await port(t);
  const cgroup = scratchCgroup(t);
  const strict = load(t, 'basic', { constants: { refused_port: little(refused) } }).program('connect4');
  const open = load(t, 'basic').program('connect4');
  const link = native.attachCgroup(cgroup, strict, 'connect4');
  const { id } = link.info;
  link.update(open);
  t.is(link.info.programId, open.info.id);
  t.is(link.info.id, id);
  t.is(connectFrom(cgroup, refused), '');
  t.is(failure(() => link.update(load(t, 'basic').program('lookup'))).code, 'EINVAL');
  link.close();
});

test('a pinned link stays after close, and goes by unpin', (t) => {
  const cgroup = scratchCgroup(t);
  const pins = scratchPins(t);
  const link = native.attachCgroup(cgroup, load(t, 'basic').program('egress'), 'egress');
  t.like(
    failure(() => link.unpin()),
    { code: 'ENOENT', syscall: 'unlink' },
  );
  link.pin(`${pins}/link`);
  t.is(failure(() => link.pin(`${pins}/link`)).code, 'EEXIST');
  link.close();
  t.is(native.queryCgroup(cgroup, 'egress').length, 1);
  const again = native.openPinnedLink(`${pins}/link`);
  again.unpin();
  t.false(existsSync(`${pins}/link`));
  t.is(native.queryCgroup(cgroup, 'egress').length, 1);
  again.close();
  t.is(native.queryCgroup(cgroup, 'egress').length, 0);
});

test('detach takes a pinned program out at once', (t) => {
  const cgroup = scratchCgroup(t);
  const pins = scratchPins(t);
  const link = native.attachCgroup(cgroup, load(t, 'basic').program('egress'), 'egress');
  link.pin(`${pins}/link`);
  link.detach();
  t.deepEqual(native.queryCgroup(cgroup, 'egress'), []);
  t.true(existsSync(`${pins}/link`));
  link.close();
});

test('attachNetns puts sk_lookup into another namespace', async (t) => {
  const holder = spawn('unshare', ['-n', 'sh', '-c', 'echo ready; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.teardown(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  const netns = openSync(`/proc/${holder.pid}/ns/net`, 'r');
  t.teardown(() => closeSync(netns));
  const collection = load(t, 'basic');
  const link = native.attachNetns(netns, collection.program('lookup'));
  t.is(link.info.type, 5);
  t.is(link.info.programId, collection.program('lookup').info.id);
  t.is(failure(() => native.attachNetns(netns, collection.program('egress'))).code, 'EINVAL');
  t.is(failure(() => native.attachNetns(0, collection.program('lookup'))).code, 'EINVAL');
  t.true(exists('link', link.info.id));
  const { id } = link.info;
  link.close();
  t.false(exists('link', id));
});

test('a pinned program is the same program', (t) => {
  const pins = scratchPins(t);
  const program = load(t, 'basic').program('egress');
  program.pin(`${pins}/egress`);
  const again = native.openPinnedProgram(`${pins}/egress`);
  t.deepEqual(again.info, program.info);
  again.close();
});

test('testRun runs a program on a packet', (t) => {
  const collection = load(t, 'basic');
  const egress = collection.program('egress');
  const packet = new Uint8Array(64);
  packet[12] = 8;
  const none = new Uint8Array();
  t.is(egress.testRun(packet, none, 1).returned, 0);
  collection.map('pods').update(u32(1), new Uint8Array(24), 'any');
  const result = egress.testRun(packet, none, 10);
  t.is(result.returned, 1);
  t.is(result.data.length, 64);
  t.true(result.durationNs >= 0);
});

test('testRun refuses what the kernel refuses', (t) => {
  const collection = load(t, 'basic');
  const none = new Uint8Array();
  t.like(
    failure(() => collection.program('egress').testRun(none, none, 1)),
    { code: 'EINVAL', syscall: 'bpf(BPF_PROG_TEST_RUN)' },
  );
  t.is(failure(() => collection.program('connect4').testRun(none, none, 1)).code, 'ENOTSUPP');
  t.throws(() => collection.program('egress').testRun(none, none, -1), { instanceOf: TypeError });
});
