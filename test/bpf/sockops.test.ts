import test from 'ava';
import { decodeOrigin, decodeTuple, ORIGIN, type Tuple } from '../../agent/redirect/layout.ts';
import { Pins } from '../../agent/redirect/pins.ts';
import { loadNative } from '../../native/index.ts';
import { CaptureAgent } from '../support/capture.ts';
import { until } from '../support/eventually.ts';
import { ScratchNet } from '../support/netns.ts';
import { connect, hold, serve } from '../support/tcp-programs.ts';

const native = loadNative();

function recorded(agent: CaptureAgent): { tuple: Tuple; kind: number }[] {
  const pins = new Pins(native, agent.config.bpffs, agent.config.instance);
  const map = native.openPinnedMap(pins.map('originated'));
  const entries = map.entries().map(([key, value]) => ({ tuple: decodeTuple(key), kind: decodeOrigin(value).kind }));
  map.close();
  return entries;
}

test.serial('the agent’s same-node connection is recorded as the pod sees it and reaches the app', async (t) => {
  const net = new ScratchNet(t);
  const [a, b] = [net.pod('a'), net.pod('b')];
  const agent = await CaptureAgent.start(t, net);
  const server = await serve(t, net, b, 80);
  await agent.enrol(a);
  await agent.enrol(b);
  for (const [from, to] of [
    [a.v4, b.v4],
    [a.v6, b.v6],
  ] as const) {
    const held = await hold(t, net, a, [to, 80]);
    const [entry, ...others] = recorded(agent);
    t.deepEqual(others, []);
    t.is(entry?.kind, ORIGIN.agent);
    t.deepEqual(entry?.tuple.local, { address: to, port: 80 });
    t.is(entry?.tuple.remote.address, from);
    t.is((await held.say('on')).data, 'on\n');
    held.kill();
    await until('the record goes with the socket', () => recorded(agent).length === 0);
  }
  t.deepEqual(
    server.accepted().map(({ peer }) => peer),
    [a.v4, a.v6],
  );
  const seen = await agent.call('accepted');
  t.deepEqual(
    seen.map(({ pod, listener }) => [pod, listener]),
    [
      ['a', 'outbound'],
      ['a', 'outbound'],
    ],
  );
  t.true(((await agent.call('verdicts')).PASS_RECORDED ?? 0) >= 2);
});

test.serial('an app that outlives the agent’s end is told so: its last packets pass guard', async (t) => {
  const net = new ScratchNet(t);
  const [a, b] = [net.pod('a'), net.pod('b')];
  const agent = await CaptureAgent.start(t, net);
  await serve(t, net, b, 80);
  await agent.enrol(a);
  await agent.enrol(b);
  const held = await hold(t, net, a, [b.v4, 80]);
  t.is((await held.say('on')).data, 'on\n');
  held.kill();
  const open = () => net.run(b, 'root', ['ss', '-Htn', 'state', 'connected']).stdout.trim();
  await until('no half-closed socket stays in the pod', () => open() === '', 5_000);
  t.is((await agent.call('verdicts')).DROP_UNCAPTURED_EGRESS, 0);
});

test.serial('inbound connections come to the app over lo with the client’s address', async (t) => {
  const net = new ScratchNet(t);
  const [b, e] = [net.pod('b'), net.pod('e')];
  const agent = await CaptureAgent.start(t, net);
  const server = await serve(t, net, b, 80);
  await agent.enrol(b);
  for (const to of [b.v4, b.v6]) t.is(connect(net, e, 'none', [to, 80]).data, 'b\nhello\n');
  await until('both arrived', () => server.accepted().length === 2);
  t.deepEqual(
    server.accepted().map(({ peer }) => peer),
    [e.v4, e.v6],
  );
  t.deepEqual(
    (await agent.call('accepted')).map(({ listener, mark, remote }) => [listener, mark, remote.address]),
    [
      ['inbound', 0, e.v4],
      ['inbound', 0, e.v6],
    ],
  );
});

test.serial('a process of the node reaches declared ports directly, other ports as an ordinary caller', async (t) => {
  const net = new ScratchNet(t);
  const [b] = [net.pod('b')];
  const agent = await CaptureAgent.start(t, net);
  await serve(t, net, b, 80);
  await serve(t, net, b, 81);
  await agent.enrol(b);
  await agent.call('probePorts', { uid: 'b', ports: [80] });
  t.is(connect(net, net.node, 'none', [b.v4, 80]).data, 'b\nhello\n');
  t.is((await agent.call('accepted')).length, 0);
  t.is(connect(net, net.node, 'none', [b.v6, 81]).data, 'b\nhello\n');
  const seen = await agent.call('accepted');
  t.deepEqual(
    seen.map(({ listener, remote }) => [listener, remote.address]),
    [['inbound', net.node.v6]],
  );
  await until('the records are gone', () => recorded(agent).length === 0);
});
