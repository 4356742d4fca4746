/** Ways out of an enrolled pod that are not through the agent: reference/attacks.md §4, lines 1–4, 6, 7, 16, 19, 20. */
import test, { type ExecutionContext } from 'ava';
import { until } from '../../support/eventually.ts';
import type { Privilege } from '../../support/netns.ts';
import { attempt, hold, type TcpEvent } from '../../support/tcp-programs.ts';
import { program, type Scene, scene, shell } from './support.ts';

/** Not one packet came to X, and the attempt did not get an answer. */
function notReached(t: ExecutionContext, here: Scene, outcomes: readonly TcpEvent[]): void {
  for (const outcome of outcomes) t.is(outcome.event, 'failed', JSON.stringify(outcome));
  t.is(here.tapped(), 0, 'packets arrived at X');
  t.deepEqual(here.outside.accepted(), []);
}

const WHO: readonly Privilege[] = ['none', 'container'];

for (const who of WHO) {
  test.serial(`1 bound to eth0 before connect, ${who}: v4, v6, MPTCP, io_uring with and without SQPOLL`, async (t) => {
    const here = await scene(t);
    const { net, a, x } = here;
    const outcomes = await Promise.all(
      [x.v4, x.v6].flatMap((to) => [
        attempt(net, a, who, [to, 80], ['--device', 'eth0']),
        attempt(net, a, who, [to, 80], ['--ifindex', 'eth0']),
        attempt(net, a, who, [to, 80], ['--device', 'eth0', '--mptcp']),
        attempt(net, a, who, [to, 80], ['--device', 'eth0', '--fastopen']),
        program(here, a, who, 'uring', to, 80, 'device', 'eth0'),
        program(here, a, who, 'uring', to, 80, 'sqpoll', 'device', 'eth0'),
      ]),
    );
    notReached(t, here, outcomes);
    for (const { errno } of outcomes) t.is(errno, 'EPERM');
  });
}

test.serial('1 io_uring without tricks is captured, so the attempts above were real', async (t) => {
  const here = await scene(t, { denyOutside: false });
  for (const mode of [[], ['sqpoll']]) {
    t.is((await program(here, here.a, 'none', 'uring', here.x.v4, 80, ...mode)).data, 'x\nhello\n');
  }
  t.deepEqual(
    (await here.accepted()).map(({ pod, listener }) => `${pod} ${listener}`),
    ['a outbound', 'a outbound'],
  );
});

test.serial('2 the SYN held back by TCP_FASTOPEN_CONNECT, then a device or mark 0', async (t) => {
  const here = await scene(t);
  const { net, a, x } = here;
  const outcomes = await Promise.all(
    [x.v4, x.v6].flatMap((to) => [
      attempt(net, a, 'none', [to, 80], ['--fastopen-connect', '--late-device', 'eth0']),
      attempt(net, a, 'container', [to, 80], ['--fastopen-connect', '--late-mark', '0']),
      attempt(net, a, 'container', [to, 80], ['--fastopen-connect', '--late-mark', '7']),
      attempt(net, a, 'none', [to, 80], ['--fastopen-connect', '--late-device', 'eth0', '--mptcp']),
    ]),
  );
  notReached(t, here, outcomes);
  t.true(((await here.agent.call('verdicts')).DROP_UNCAPTURED_EGRESS ?? 0) > 0, 'guard saw them');
});

for (const state of ['killed', 'stopped with a full backlog'] as const) {
  test.serial(`3 the agent ${state}: a device or mark 0 while the SYN is retried`, async (t) => {
    const here = await scene(t);
    const { net, a, x, agent } = here;
    if (state === 'killed') {
      await agent.kill();
    } else {
      agent.signal('SIGSTOP');
      // The harness listens with a backlog of 4.
      await Promise.all(
        Array.from({ length: 8 }, () => attempt(net, a, 'none', [x.v4, 80], ['--timeout', '1', '--nonblocking'])),
      );
    }
    const slow = ['--nonblocking', '--timeout', '4'];
    const outcomes = await Promise.all(
      [x.v4, x.v6].flatMap((to) => [
        attempt(net, a, 'none', [to, 80], [...slow, '--late-device', 'eth0']),
        attempt(net, a, 'container', [to, 80], [...slow, '--late-mark', '0']),
        attempt(net, a, 'none', [to, 80], [...slow, '--late-device', 'eth0', '--mptcp']),
        attempt(net, a, 'container', [to, 80], [...slow, '--late-mark', '0', '--mptcp']),
        attempt(net, a, 'none', [to, 80], slow),
      ]),
    );
    if (state !== 'killed') agent.signal('SIGCONT');
    notReached(t, here, outcomes);
  });
}

test.serial('4 the node’s link-local address', async (t) => {
  const here = await scene(t);
  const { net, a } = here;
  const linkLocal = /inet6 (fe80::\S+)\//.exec(shell(net.node, 'ip -6 addr show br0'))?.[1] ?? '';
  t.not(linkLocal, '');
  for (const who of WHO) t.is((await attempt(net, a, who, [`${linkLocal}%eth0`, 22])).errno, 'EPERM');
  await until('E’s own link-local address is in use', () => !/tentative/.test(shell(here.e, 'ip -6 addr show eth0')));
  t.is((await attempt(net, here.e, 'none', [`${linkLocal}%eth0`, 22])).errno, 'ECONNREFUSED', 'E does reach it');
});

test.serial('6 any mark before connect is overwritten', async (t) => {
  const here = await scene(t, { denyOutside: false });
  const { net, a, x } = here;
  const marks = ['0x1', '0x539', '0x41510001', '0x41510002', '0x41510003', '0xffffffff'];
  for (const to of [x.v4, x.v6]) {
    for (const mark of marks) {
      t.is((await attempt(net, a, 'container', [to, 80], ['--mark', mark])).data, 'x\nhello\n');
    }
  }
  const seen = await here.accepted();
  t.is(seen.length, marks.length * 2);
  for (const record of seen) t.like(record, { pod: 'a', listener: 'outbound', mark: 0x41510001 });
});

test.serial('7 raw sockets', async (t) => {
  const here = await scene(t);
  const { a, x } = here;
  for (const kind of ['tcp', 'header', 'fragment', '132', '4', '41', '47']) {
    t.is((await program(here, a, 'container', 'raw', x.v4, kind)).errno, 'EPERM', kind);
  }
  for (const kind of ['tcp', 'header6', '132', '4']) {
    t.is((await program(here, a, 'container', 'raw', x.v6, kind)).errno, 'EPERM', `IPv6 ${kind}`);
  }
  t.is((await program(here, here.e, 'container', 'raw', x.v4, 'tcp')).event, 'sent', 'E may');
  t.is((await program(here, a, 'none', 'raw', x.v4, 'tcp')).errno, 'EPERM', 'without CAP_NET_RAW there is none');
});

test.serial('16 a process of the host in the pod’s namespace, and a socket from there passed in', async (t) => {
  const here = await scene(t, { denyOutside: false });
  const { net, a, x } = here;
  const stranger = { ...a, cgroup: net.makeCgroup('stranger') };
  t.is((await attempt(net, stranger, 'root', [x.v4, 80])).data, 'x\nhello\n');
  t.is((await attempt(net, stranger, 'none', [x.v6, 80])).data, 'x\nhello\n');
  const passed = await program(here, stranger, 'root', 'passed', x.v4, 80, a.cgroup);
  t.is(passed.data, 'x\nhello\n');
  const seen = await here.accepted();
  t.deepEqual(
    seen.map(({ pod, listener }) => `${pod} ${listener}`),
    ['a outbound', 'a outbound', 'a outbound'],
  );
});

test.serial('19 the fwmark rules deleted', async (t) => {
  const here = await scene(t);
  const { net, a, x } = here;
  shell(a, 'ip rule del pref 101; ip -6 rule del pref 101');
  const outcomes = await Promise.all(
    WHO.flatMap((who) => [x.v4, x.v6].map((to) => attempt(net, a, who, [to, 80], ['--timeout', '2']))),
  );
  notReached(t, here, outcomes);
});

test.serial('20 a macvlan, or eth0 itself, in a nested namespace', async (t) => {
  const here = await scene(t);
  const { a, x } = here;
  const nested = (setUp: string, device: string, address: string, to: string) =>
    program(here, a, 'net_admin', 'nested', setUp, device, address, to, 80);
  const outcomes = [
    await nested('ip link add mv0 link eth0 type macvlan mode bridge', 'mv0', '10.77.0.150/16', x.v4),
    await nested('ip link add mv1 link eth0 type macvlan mode bridge', 'mv1', 'fd77::150/64', x.v6),
    await nested('true', 'eth0', `${a.v4}/16`, x.v4),
  ];
  notReached(t, here, outcomes);
  t.true(((await here.agent.call('verdicts')).DROP_UNCAPTURED_EGRESS ?? 0) > 0, 'guard saw them');
  const free = await program(
    here,
    here.e,
    'net_admin',
    'nested',
    'ip link add mv2 link eth0 type macvlan mode bridge',
    'mv2',
    '10.77.0.151/16',
    x.v4,
    80,
  );
  t.is(free.data, 'x\nhello\n', 'E gets out this way, so the attempts were real');
});

test.serial(
  'a live captured connection whose mark or device is changed ends, or goes on through the agent',
  async (t) => {
    const here = await scene(t, { denyOutside: false });
    const { net, a, x } = here;
    await hold(t, net, a, [x.v4, 80]);
    const before = here.tapped();
    const late = await Promise.all([
      attempt(net, a, 'container', [x.v4, 80], ['--late-mark', '0']),
      attempt(net, a, 'none', [x.v4, 80], ['--late-device', 'eth0']),
    ]);
    const seen = await here.accepted();
    for (const { peer } of here.outside.accepted()) t.is(peer, a.v4);
    t.is(here.outside.accepted().length, seen.length, 'each connection at X is one of the agent');
    t.true(here.tapped() >= before);
    t.is(late.length, 2);
  },
);

test.serial('SCTP and SMC: not in this kernel, or they do not get out', async (t) => {
  const here = await scene(t);
  const outcomes = await Promise.all(
    ['sctp', 'smc'].flatMap((kind) => WHO.map((who) => program(here, here.a, who, 'other', kind, here.x.v4, 80))),
  );
  notReached(t, here, outcomes);
  for (const { errno } of outcomes) t.log(errno);
});
