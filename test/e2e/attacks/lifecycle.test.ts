/** The agent's life and its limits, and what must work: reference/attacks.md §4, lines 8, 11, 14, 17, 18, 23, 24. */
import test from 'ava';
import { encodeTuple } from '../../../agent/redirect/layout.ts';
import { Pins } from '../../../agent/redirect/pins.ts';
import { type BpfMap, loadNative } from '../../../native/index.ts';
import { until } from '../../support/eventually.ts';
import { attempt, hold, serve } from '../../support/tcp-programs.ts';
import { type Scene, scene, shell } from './support.ts';

const native = loadNative();
const NONE_OLDER = { olderConnectionsPerPod: 0, kernelEventsPerSecond: 20 };

function originated({ agent }: Scene): BpfMap {
  const pins = new Pins(native, agent.config.bpffs, agent.config.instance);
  return native.openPinnedMap(pins.map('originated'));
}

test.serial('8 A to B on one node is captured as A, v4 and v6', async (t) => {
  const here = await scene(t);
  const { net, a, b, app } = here;
  for (const to of [b.v4, b.v6]) t.is((await attempt(net, a, 'none', [to, 80])).data, 'b\nhello\n');
  t.deepEqual(
    (await here.accepted()).map(({ pod, listener, local }) => [pod, listener, local.address]),
    [
      ['a', 'outbound', b.v4],
      ['a', 'outbound', b.v6],
    ],
  );
  t.deepEqual(
    app.accepted().map(({ peer }) => peer),
    [a.v4, a.v6],
    'the app sees A',
  );
});

test.serial('11 the connection map full: refused, and the agent does not talk to itself', async (t) => {
  const here = await scene(t);
  const { net, a, b, e } = here;
  const map = originated(here);
  const value = new Uint8Array(16);
  const key = encodeTuple({ local: { address: '192.0.2.1', port: 1 }, remote: { address: '192.0.2.2', port: 1 } });
  const view = new DataView(key.buffer);
  let filled = 0;
  try {
    for (; filled < 300_000; filled++) {
      view.setUint32(12, filled, true);
      map.update(key, value, 'any');
    }
  } catch (error) {
    t.is((error as NodeJS.ErrnoException).code, 'E2BIG');
  }
  map.close();
  t.is(filled, 262_144);
  for (const [from, to] of [
    [a, b.v4],
    [a, b.v6],
    [e, b.v4],
  ] as const) {
    t.is((await attempt(net, from, 'none', [to, 80])).event, 'failed');
  }
  t.deepEqual(here.app.accepted(), []);
  const seen = await here.accepted();
  for (const record of seen.filter(({ mark }) => mark !== 0 && mark !== 0x41510001)) {
    t.is(record.refusal, 'loop');
  }
  t.true(seen.length <= 3 * 3, `no loop: ${seen.length} connections`);
  t.true(((await here.agent.call('verdicts')).DROP_RECORD_FAILED ?? 0) > 0);
});

test.serial('14 an app on 15006 and 15008 while the agent is down: the restart works', async (t) => {
  const here = await scene(t);
  const { net, a, b, e, agent } = here;
  await agent.kill();
  const squatters = [await serve(t, net, b, 15006), await serve(t, net, b, 15008), await serve(t, net, b, 15001)];
  t.is((await attempt(net, e, 'none', [b.v4, 80], ['--timeout', '1'])).event, 'failed');
  await agent.restart();
  await agent.enrol(a);
  await agent.enrol(b);
  for (const to of [b.v4, b.v6]) t.is((await attempt(net, e, 'none', [to, 80])).data, 'b\nhello\n');
  t.is((await attempt(net, a, 'none', [b.v4, 80])).data, 'b\nhello\n');
  t.is((await attempt(net, e, 'none', [b.v4, 15006], ['--timeout', '1'])).event, 'failed');
  t.is(squatters.flatMap((each) => each.accepted()).length, 0);
  // Its own ports are its own business.
  t.is((await attempt(net, b, 'none', ['127.0.0.1', 15006])).data, 'b\nhello\n');
});

test.serial('17 the agent under the pods’ root: its own traffic is not captured', async (t) => {
  const here = await scene(t, { denyOutside: false, config: (net) => ({ agentCgroup: net.makeCgroup('pods/agent') }) });
  const { net, a, b, x } = here;
  t.is((await attempt(net, a, 'none', [x.v4, 80])).data, 'x\nhello\n');
  t.is((await attempt(net, a, 'none', [b.v6, 80])).data, 'b\nhello\n');
  t.is((await here.accepted()).length, 2);
});

test.serial('17 the agent even under the guarded cgroup: its sockets pass', async (t) => {
  const config = (net: Scene['net']) => ({ agentCgroup: net.makeCgroup('shared/agent') });
  const here = await scene(t, { denyOutside: false, enrol: false, config });
  const { net, x, agent } = here;
  // Where pods have no cgroup of their own, guard hangs above all of them.
  const a = { ...here.a, cgroup: net.makeCgroup('shared/a') };
  await agent.enrol(a, { cgroup: net.makeCgroup('shared') });
  for (const to of [x.v4, x.v6]) t.is((await attempt(net, a, 'none', [to, 80])).data, 'x\nhello\n');
  t.true(((await agent.call('verdicts')).PACKET_AGENT ?? 0) > 0);
  t.is((await attempt(net, a, 'none', [x.v4, 80], ['--device', 'eth0'])).errno, 'EPERM');
});

test.serial('18 a connection to X from before the enrolment, which the policy forbids, is aborted', async (t) => {
  const here = await scene(t, { enrol: false });
  const { net, a, b, x, agent } = here;
  const [forbidden, forbidden6] = [await hold(t, net, a, [x.v4, 80]), await hold(t, net, a, [x.v6, 80])];
  const permitted = await hold(t, net, a, [b.v4, 80]);
  await agent.enrol(a);
  t.deepEqual(await agent.call('judgeOlder', { uid: 'a', refuse: [x.v4, x.v6] }), { kept: 1, closed: 2 });
  t.is((await forbidden.say('on')).errno, 'ECONNABORTED');
  t.is((await forbidden6.say('on')).errno, 'ECONNABORTED');
  t.is((await permitted.say('on')).data, 'on\n');
  await until('X is told', () => here.outside.events.filter(({ event }) => event === 'broken').length === 2);
});

test.serial('18 one that nobody listed is dropped', async (t) => {
  const here = await scene(t, { enrol: false, config: () => ({ limits: NONE_OLDER }) });
  const { net, a, x, agent } = here;
  const held = await hold(t, net, a, [x.v4, 80]);
  await agent.enrol(a);
  t.is((await held.say('on')).event, 'failed');
});

test.serial('23 kill -9 of the agent: its map entries are gone', async (t) => {
  const here = await scene(t);
  const { net, a, b, e, agent } = here;
  await hold(t, net, a, [b.v4, 80]);
  await hold(t, net, e, [b.v6, 80]);
  const map = originated(here);
  t.is(map.entries().length, 2);
  await agent.kill();
  await until('the records are gone', () => map.entries().length === 0);
  map.close();
});

test.serial('24 with all of it on, what must work works', async (t) => {
  const here = await scene(t, { denyOutside: false });
  const { net, a, b, x, agent } = here;
  for (const pod of [a, x, b]) shell(pod, 'sysctl -qw net.ipv4.tcp_fastopen=1027');
  await serve(t, net, x, 83, ['--mptcp']);
  await serve(t, net, x, 84, ['--fastopen']);
  await serve(t, net, a, 85);
  const to = async (host: string, port: number, ...options: string[]) =>
    (await attempt(net, a, 'none', [host, port], options)).data;
  for (const host of [x.v4, x.v6, `::ffff:${x.v4}`]) {
    t.is(await to(host, 80), 'x\nhello\n', `plain ${host}`);
    t.is(await to(host, 83, '--mptcp'), 'x\nhello\n', `MPTCP ${host}`);
    t.is(await to(host, 83, '--mptcp', '--keepalive'), 'x\nhello\n', `MPTCP with options before ${host}`);
    t.is(await to(host, 83, '--mptcp', '--late-keepalive'), 'x\nhello\n', `MPTCP with options after ${host}`);
    if (!host.startsWith('::ffff'))
      t.regex((await to(host, 84, '--fastopen')) ?? '', /^x\nhello\n/, `fast open ${host}`);
    t.is(await to(host, 84, '--fastopen-connect'), 'x\nhello\n', `fast open connect ${host}`);
  }
  for (const host of [b.v4, b.v6]) t.is(await to(host, 80), 'b\nhello\n', `same node ${host}`);
  const captured = (await here.accepted()).length;
  for (const host of ['127.0.0.1', '::1', 'localhost', a.v4, a.v6])
    t.is(await to(host, 85), 'a\nhello\n', `own ${host}`);
  t.is((await here.accepted()).length, captured, 'the pod with itself goes past the agent');

  for (const host of [x.v4, x.v6]) {
    t.is(net.run(a, 'container', ['ping', '-c', '1', '-W', '2', host]).status, 0, `ping ${host}`);
    t.is((await udpEcho(here, host)).trim(), 'hello', `UDP ${host}`);
  }
  t.is((await agent.call('verdicts')).DROP_UNCAPTURED_EGRESS, 0);
});

async function udpEcho({ net, a, x }: Scene, host: string): Promise<string> {
  const v6 = host.includes(':');
  const server = `import socket; s=socket.socket(socket.AF_INET${v6 ? '6' : ''}, socket.SOCK_DGRAM); s.bind(("${host}", 5353)); print("ready", flush=True); d, p = s.recvfrom(999); s.sendto(d, p)`;
  const child = net.start(x, 'none', ['/usr/bin/python3', '-c', server]);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  const client = `import socket; s=socket.socket(socket.AF_INET${v6 ? '6' : ''}, socket.SOCK_DGRAM); s.settimeout(2); s.connect(("${host}", 5353)); s.send(b"hello"); print(s.recv(99).decode())`;
  return net.run(a, 'none', ['/usr/bin/python3', '-c', client]).stdout;
}
