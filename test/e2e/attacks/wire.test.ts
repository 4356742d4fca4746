/** From the wire, and with somebody else's address: reference/attacks.md §4, lines 5, 9, 10, 12, 13, 15, 21, 22. */
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { until } from '../../support/eventually.ts';
import { attempt, hold, serve, TcpProgram } from '../../support/tcp-programs.ts';
import { macOf, program, scene, shell } from './support.ts';

const SHORT = ['--timeout', '1.5'];

test.serial('5 B’s link-local and second address: refused, and never outbound', async (t) => {
  const here = await scene(t);
  const { net, b, e } = here;
  shell(b, 'ip addr add 10.77.0.99/16 dev eth0; ip addr add fd77::99/64 dev eth0 nodad');
  // Duplicate address detection takes a second.
  await until('the link-local addresses are in use', () =>
    [b, e].every((pod) => !/tentative/.test(shell(pod, 'ip -6 addr show eth0'))),
  );
  const linkLocal = /inet6 (fe80::\S+)\//.exec(shell(b, 'ip -6 addr show eth0'))?.[1] ?? '';
  const outcomes = await Promise.all(
    ['10.77.0.99', 'fd77::99', `${linkLocal}%eth0`].flatMap((to) =>
      [80, 81].map((port) => attempt(net, e, 'none', [to, port], SHORT)),
    ),
  );
  for (const outcome of outcomes) t.is(outcome.event, 'failed');
  t.deepEqual(await here.accepted(), []);
  t.deepEqual(here.app.accepted(), []);
  t.true(((await here.agent.call('verdicts')).DROP_NOT_MINE ?? 0) >= outcomes.length);
});

test.serial('9 a forged source with IP_TRANSPARENT is never attributed to B', async (t) => {
  const here = await scene(t, { denyOutside: false });
  const { net, a, b, x } = here;
  const outcomes = await Promise.all(
    (
      [
        [x.v4, b.v4],
        [x.v6, b.v6],
        [b.v4, b.v4],
        [b.v6, b.v6],
        [x.v4, '203.0.113.5'],
      ] as const
    ).map(([to, source]) =>
      attempt(net, a, 'container', [to, 80], [...SHORT, '--transparent', '--source', source, '--sport', '40000']),
    ),
  );
  for (const outcome of outcomes) t.is(outcome.event, 'failed', JSON.stringify(outcome));
  t.deepEqual(await here.accepted(), []);
  t.is(here.tapped(), 0);
});

test.serial('10 E from the agent’s own port to another port of B goes to the inbound listener', async (t) => {
  const here = await scene(t);
  const { net, b, e, app } = here;
  const other = await serve(t, net, b, 9090);
  const held = await hold(t, net, e, [b.v4, 80]);
  await until('B was reached', () => app.accepted().length === 1);
  const { peer, port } = app.accepted()[0] ?? {};
  t.is(peer, e.v4, 'the agent connects with the address of its client');
  const answer = await attempt(net, e, 'none', [b.v4, 9090], ['--source', e.v4, '--sport', String(port)]);
  t.is(answer.data, 'b\nhello\n');
  const last = (await here.accepted()).at(-1);
  t.like(last, { pod: 'b', listener: 'inbound', mark: 0, local: { address: b.v4, port: 9090 } });
  t.is(last?.remote.port, port);
  t.is(other.accepted().length, 1);
  t.is((await held.say('on')).data, 'on\n');
});

test.serial('12 the agent’s own ports: E to B’s, A to its own by every address', async (t) => {
  const here = await scene(t);
  const { net, a, b, e } = here;
  const ports = [15001, 15006, 15008];
  const outcomes = await Promise.all([
    ...[b.v4, b.v6].flatMap((to) => [15001, 15006].map((port) => attempt(net, e, 'none', [to, port], SHORT))),
    ...[b.v4, b.v6].flatMap((to) => ports.map((port) => attempt(net, a, 'none', [to, port], SHORT))),
    ...[a.v4, a.v6, '127.0.0.1', '::1'].flatMap((to) =>
      ports.flatMap((port) => [
        attempt(net, a, 'none', [to, port], SHORT),
        attempt(net, a, 'container', [to, port], [...SHORT, '--mark', '0', '--late-mark', '0']),
      ]),
    ),
  ]);
  for (const outcome of outcomes) t.is(outcome.event, 'failed', JSON.stringify(outcome));
  for (const record of await here.accepted()) t.not(record.refusal, null, JSON.stringify(record));
});

test.serial('13 an app with SO_REUSEPORT on 15006 gets none of 100 connections', async (t) => {
  const here = await scene(t, { enrol: false });
  const { net, b, e, agent } = here;
  // Before the agent, which then takes another port: the app's best chance.
  const greedy = await serve(t, net, b, 15006, ['--reuseport', '--host', '0.0.0.0'], 'root');
  const greedy6 = await serve(t, net, b, 15001, ['--reuseport'], 'root');
  await agent.enrol(b);
  for (let round = 0; round < 10; round++) {
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, i) => attempt(net, e, 'none', [i % 2 === 0 ? b.v4 : b.v6, 80])),
    );
    for (const { data } of outcomes) t.is(data, 'b\nhello\n');
  }
  const seen = await here.accepted();
  t.is(seen.filter(({ listener, pod }) => listener === 'inbound' && pod === 'b').length, 100);
  t.is(greedy.accepted().length + greedy6.accepted().length, 0);
});

test.serial('15 only a process in the kubelet’s cgroup is a probe, whatever address others have', async (t) => {
  const here = await scene(t);
  const { net, a, b, e, agent } = here;
  await agent.call('probePorts', { uid: 'b', ports: [80] });
  const probes = async () => (await agent.call('verdicts')).PASS_PROBE;
  t.is(await probes(), 0);

  // E answers for the node's address, as forged ARP makes it do.
  const mac = macOf(e);
  shell(b, `ip neigh replace 10.77.0.1 lladdr ${mac} dev eth0; ip neigh replace fd77::1 lladdr ${mac} dev eth0`);
  shell(e, 'ip addr add 10.77.0.1/32 dev lo; ip addr add fd77::1/128 dev lo nodad');
  t.is((await attempt(net, e, 'container', [b.v4, 80], ['--source', '10.77.0.1'])).data, 'b\nhello\n');
  t.is((await attempt(net, e, 'container', [b.v6, 80], ['--source', 'fd77::1'])).data, 'b\nhello\n');
  shell(e, 'ip addr del 10.77.0.1/32 dev lo; ip addr del fd77::1/128 dev lo');
  shell(b, 'ip neigh del 10.77.0.1 dev eth0; ip neigh del fd77::1 dev eth0');

  // E answers for A's address.
  shell(b, `ip neigh replace ${a.v4} lladdr ${mac} dev eth0`);
  shell(e, `ip addr add ${a.v4}/32 dev lo`);
  t.is((await attempt(net, e, 'container', [b.v4, 80], ['--source', a.v4])).data, 'b\nhello\n');
  shell(e, `ip addr del ${a.v4}/32 dev lo`);
  shell(b, `ip neigh del ${a.v4} dev eth0`);

  // A NodePort with masquerade: the node's address again.
  shell(
    net.node,
    `nft add table ip np
     nft 'add chain ip np pre { type nat hook prerouting priority -100; }'
     nft 'add chain ip np post { type nat hook postrouting priority 100; }'
     nft add rule ip np pre tcp dport 30080 dnat to ${b.v4}:80
     nft add rule ip np post ip daddr ${b.v4} masquerade`,
  );
  t.is((await attempt(net, e, 'none', ['10.77.0.1', 30080])).data, 'b\nhello\n');

  // Some other process of the host.
  const other = { ...net.node, cgroup: net.makeCgroup('daemon') };
  t.is((await attempt(net, other, 'root', [b.v4, 80])).data, 'b\nhello\n');

  const seen = await here.accepted();
  t.deepEqual(
    seen.map(({ listener, remote, mark }) => [listener, remote.address, mark]),
    [
      ['inbound', '10.77.0.1', 0],
      ['inbound', 'fd77::1', 0],
      ['inbound', a.v4, 0],
      ['inbound', '10.77.0.1', 0],
      ['inbound', '10.77.0.1', 0],
    ],
    'each is an ordinary caller without an identity',
  );
  t.is(await probes(), 0);

  t.is((await attempt(net, net.node, 'root', [b.v4, 80])).data, 'b\nhello\n');
  t.is((await attempt(net, net.node, 'root', [b.v6, 80])).data, 'b\nhello\n');
  t.is(await probes(), 2);
  t.is((await here.accepted()).length, 5);
});

test.serial('21 a SYN from B to B by the wire gets no SYN-ACK', async (t) => {
  const here = await scene(t);
  const { b, e } = here;
  const before = (await here.agent.call('verdicts')).DROP_UNCAPTURED_INGRESS ?? 0;
  for (const address of [b.v4, b.v6]) {
    t.is((await program(here, e, 'container', 'forge', 'syn', macOf(b), address, address, 80)).event, 'sent');
  }
  // The kernel itself refuses the IPv4 one as a martian.
  await until('guard saw the IPv6 one', async () => {
    return ((await here.agent.call('verdicts')).DROP_UNCAPTURED_INGRESS ?? 0) > before;
  });
  t.is(shell(b, 'ss -Htan state syn-recv').trim(), '');
  t.deepEqual(here.app.accepted(), []);
});

test.serial('21 a RST with the right number into a captured connection: it lives', async (t) => {
  const here = await scene(t, { denyOutside: false });
  const { net, a, e, x } = here;
  for (const to of [x.v4, x.v6]) {
    const held = await hold(t, net, a, [to, 80]);
    const [{ local }] = [held.events[0] ?? { local: undefined }];
    const port = Number(local?.[1]);
    const path = fileURLToPath(new URL('forge.py', import.meta.url));
    const command = ['/usr/bin/python3', path, 'watch', String(port), '80', '1.5'];
    const watch = new TcpProgram(net.start(a, 'container', command));
    t.teardown(() => watch.kill());
    await watch.next('listening');
    t.is((await held.say('one')).data, 'one\n');
    const seen = await watch.next('seen');
    t.truthy(seen.port, 'the number was seen on lo');
    const { event } = await program(
      here,
      e,
      'container',
      'forge',
      'rst',
      macOf(a),
      to,
      80,
      String(local?.[0]),
      port,
      seen.port ?? 0,
    );
    t.is(event, 'sent');
    await new Promise((resolve) => setTimeout(resolve, 200));
    t.is((await held.say('two')).data, 'two\n');
  }
  t.true(((await here.agent.call('verdicts')).DROP_UNCAPTURED_INGRESS ?? 0) >= 2, 'guard saw them');
});

test.serial('22 a SYN onto TIME_WAIT, and SYN cookies, meet the right listener', async (t) => {
  const here = await scene(t, { denyOutside: false });
  const { net, a, b, e, x } = here;
  await serve(t, net, b, 82, ['--once']);
  for (let round = 0; round < 3; round++) {
    const answer = await attempt(net, e, 'none', [b.v4, 82], ['--source', e.v4, '--sport', '41000', '--until-eof']);
    t.is(answer.data, 'b\nhello\n');
  }
  t.regex(shell(b, 'ss -Htan state time-wait'), /:41000/, 'the agent closed first');
  const inbound = (await here.accepted()).filter(({ remote }) => remote.port === 41000);
  t.is(inbound.length, 3);
  for (const record of inbound) t.like(record, { pod: 'b', listener: 'inbound', refusal: null });

  for (const pod of [a, b, x]) shell(pod, 'sysctl -qw net.ipv4.tcp_syncookies=2');
  const before = (await here.accepted()).length;
  for (const to of [b.v4, b.v6]) t.is((await attempt(net, e, 'none', [to, 80])).data, 'b\nhello\n');
  for (const to of [x.v4, x.v6]) t.is((await attempt(net, a, 'none', [to, 80])).data, 'x\nhello\n');
  for (const to of [b.v4, b.v6]) t.is((await attempt(net, a, 'none', [to, 80])).data, 'b\nhello\n');
  const later = (await here.accepted()).slice(before);
  t.deepEqual(
    later.map(({ pod, listener, mark, local }) => [pod, listener, mark, local.address]),
    [
      ['b', 'inbound', 0, b.v4],
      ['b', 'inbound', 0, b.v6],
      ['a', 'outbound', 0x41510001, x.v4],
      ['a', 'outbound', 0x41510001, x.v6],
      ['a', 'outbound', 0x41510001, b.v4],
      ['a', 'outbound', 0x41510001, b.v6],
    ],
  );
});
