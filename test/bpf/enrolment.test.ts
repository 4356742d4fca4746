import test from 'ava';
import { CaptureAgent } from '../support/capture.ts';
import { until } from '../support/eventually.ts';
import { ScratchNet } from '../support/netns.ts';
import { connect, hold, serve } from '../support/tcp-programs.ts';

test.serial('an enrolled pod is captured, one that is not is left alone, and un-enrolment undoes it', async (t) => {
  const net = new ScratchNet(t);
  const [a, e, x] = [net.pod('a'), net.pod('e'), net.pod('x')];
  const agent = await CaptureAgent.start(t, net);
  const server = await serve(t, net, x, 80);
  const { ms } = await agent.enrol(a);
  t.log(`enrolled in ${ms.toFixed(1)} ms`);
  for (const host of [x.v4, x.v6]) {
    const answer = connect(net, a, 'none', [host, 80]);
    t.is(answer.data, 'x\nhello\n');
    t.is(answer.peer?.[0], host);
    t.is(connect(net, e, 'none', [host, 80]).data, 'x\nhello\n');
  }
  const seen = await agent.call('accepted');
  t.deepEqual(
    seen.map(({ pod, listener, local, refusal }) => [pod, listener, local.address, refusal]),
    [
      ['a', 'outbound', x.v4, null],
      ['a', 'outbound', x.v6, null],
    ],
  );
  t.deepEqual(await agent.call('verify', 'a'), []);
  await agent.call('unenrol', 'a');
  t.is(connect(net, a, 'none', [x.v4, 80]).data, 'x\nhello\n');
  t.is((await agent.call('accepted')).length, 2);
  await until('all five were accepted', () => server.accepted().length === 5);
});

test.serial('connections through the agent outlive the un-enrolment, and the routes go with the last', async (t) => {
  const net = new ScratchNet(t);
  const [a, x] = [net.pod('a'), net.pod('x')];
  const agent = await CaptureAgent.start(t, net);
  await serve(t, net, x, 80);
  await serve(t, net, a, 81);
  await agent.enrol(a);
  const out = await hold(t, net, a, [x.v4, 80]);
  const into = await hold(t, net, x, [a.v6, 81]);
  await agent.call('unenrol', 'a');
  t.is((await agent.call('maintain')).draining, 1);
  t.is((await out.say('still')).data, 'still\n');
  t.is((await into.say('there')).data, 'there\n');
  const rules = () => net.run(a, 'root', ['ip', 'rule']).stdout;
  t.regex(rules(), /fwmark 0x41510001/);
  out.kill();
  into.kill();
  await until('the routes go', async () => (await agent.call('maintain')).draining === 0);
  t.notRegex(rules(), /fwmark/);
});

test.serial('older connections go on without a stall, are listed, judged and closed', async (t) => {
  const net = new ScratchNet(t);
  const [a, x, y] = [net.pod('a'), net.pod('x'), net.pod('y')];
  const agent = await CaptureAgent.start(t, net);
  await serve(t, net, x, 80);
  await serve(t, net, y, 80);
  await serve(t, net, a, 81);
  const toX = await hold(t, net, a, [x.v4, 80]);
  const toY = await hold(t, net, a, [y.v6, 80]);
  const fromX = await hold(t, net, x, [a.v4, 81]);
  await agent.enrol(a);
  const list = await agent.call('older', 'a');
  t.deepEqual(list.map(({ direction, remote }) => [direction, remote.address]).sort(), [
    ['inbound', x.v4],
    ['outbound', x.v4],
    ['outbound', y.v6],
  ]);
  const before = performance.now();
  t.is((await toX.say('alive')).data, 'alive\n');
  t.true(performance.now() - before < 150, 'no retransmission was needed');
  t.deepEqual(await agent.call('judgeOlder', { uid: 'a', refuse: [y.v6] }), { kept: 2, closed: 1 });
  t.is((await toY.say('gone?')).errno, 'ECONNABORTED');
  t.is((await toX.say('alive')).data, 'alive\n');
  t.is((await fromX.say('alive')).data, 'alive\n');
  toX.kill();
  await until('the entry of an ended connection goes', async () => {
    await agent.call('maintain');
    return (await agent.call('older', 'a')).length === 1;
  });
});

test.serial(
  'a failed enrolment names step, reason and fix, and leaves the pod refused until it succeeds',
  async (t) => {
    const net = new ScratchNet(t);
    const [a, e, x] = [net.pod('a'), net.pod('e'), net.pod('x')];
    const agent = await CaptureAgent.start(t, net);
    const server = await serve(t, net, x, 80);
    const own = await serve(t, net, a, 81);
    const error = (await t.throwsAsync(agent.enrol(a, { cgroup: `${a.cgroup}-missing` }))) as {
      code?: string;
      hint?: string;
    };
    t.is(error.code, 'MESH_ENROL_FAILED');
    t.regex(String(error), /pod test\/a: guard: .*ENOENT/);
    t.regex(error.hint ?? '', /cgroup must exist/);
    t.is(connect(net, a, 'none', [x.v4, 80]).errno, 'EPERM');
    t.is(connect(net, e, 'none', [a.v4, 81], ['--timeout', '1']).event, 'failed');
    t.is(server.accepted().length + own.accepted().length, 0);
    await agent.enrol(a);
    t.is(connect(net, a, 'none', [x.v4, 80]).data, 'x\nhello\n');
  },
);

test.serial('a pod whose addresses are not in its namespace is not enrolled', async (t) => {
  const net = new ScratchNet(t);
  const a = net.pod('a');
  const agent = await CaptureAgent.start(t, net);
  await t.throwsAsync(agent.enrol(a, { addresses: ['10.77.9.9'] }), { message: /10.77.9.9 is on no interface/ });
});

test.serial('drift is named and mended; a foreign rule before ours is named', async (t) => {
  const net = new ScratchNet(t);
  const [a, x] = [net.pod('a'), net.pod('x')];
  const agent = await CaptureAgent.start(t, net);
  await serve(t, net, x, 80);
  await agent.enrol(a);
  const ip = (...args: string[]) => net.run(a, 'root', ['ip', ...args]);
  ip('rule', 'del', 'pref', '101');
  ip('-6', 'route', 'flush', 'table', '16721');
  ip('rule', 'add', 'pref', '50', 'fwmark', '0x41510001', 'lookup', 'main');
  net.run(a, 'root', ['sysctl', '-qw', 'net.ipv4.tcp_fwmark_accept=0']);
  const drifts = await agent.call('verify', 'a');
  t.deepEqual(drifts.map(({ what, mended }) => [what, mended]).sort(), [
    ['foreign rule', false],
    ['route', true],
    ['rule', true],
    ['sysctl', true],
  ]);
  ip('rule', 'del', 'pref', '50');
  t.deepEqual(await agent.call('verify', 'a'), []);
  t.is(connect(net, a, 'none', [x.v4, 80]).data, 'x\nhello\n');
});

test.serial('enrolling a running pod takes milliseconds', async (t) => {
  const net = new ScratchNet(t);
  const agent = await CaptureAgent.start(t, net);
  const times: number[] = [];
  for (let i = 0; i < 12; i++) times.push((await agent.enrol(net.pod(`p${i}`))).ms);
  times.sort((x, y) => x - y);
  t.log(`median ${times[6]?.toFixed(1)} ms, fastest ${times[0]?.toFixed(1)}, slowest ${times.at(-1)?.toFixed(1)}`);
  // The figure to reach is 20 ms on an idle machine; this bound only catches what would be another order.
  t.true((times[0] ?? 0) < 60);
});
