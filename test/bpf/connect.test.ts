import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { encodeAddress } from '../../agent/redirect/layout.ts';
import { Redirect } from '../../agent/redirect/redirect.ts';
import type { KernelEvent } from '../../agent/redirect/types.ts';
import { loadNative } from '../../native/index.ts';
import { CaptureAgent } from '../support/capture.ts';
import { until } from '../support/eventually.ts';
import { bpffs, type Scope, ScratchNet } from '../support/netns.ts';
import { connect, serve } from '../support/tcp-programs.ts';

const native = loadNative();

async function setup(t: Scope) {
  const net = new ScratchNet(t);
  const [a, x] = [net.pod('a'), net.pod('x')];
  const agent = await CaptureAgent.start(t, net);
  await serve(t, net, x, 80);
  await agent.enrol(a);
  return { net, a, x, agent };
}

test.serial('a bound device and link-local destinations get a clear error at once', async (t) => {
  const { net, a, x, agent } = await setup(t);
  t.is(connect(net, a, 'none', [x.v4, 80], ['--device', 'eth0']).errno, 'EPERM');
  t.is(connect(net, a, 'none', [x.v6, 80], ['--ifindex', 'eth0']).errno, 'EPERM');
  t.is(connect(net, a, 'none', ['fe80::1%eth0', 80]).errno, 'EPERM');
  const { DROP_BOUND_DEVICE, DROP_LINK_LOCAL } = await agent.call('verdicts');
  t.is(DROP_BOUND_DEVICE, 2);
  t.is(DROP_LINK_LOCAL, 1);
});

test.serial(
  'the link-local addresses of IPv4 are captured: cloud metadata and node-local DNS live there',
  async (t) => {
    const { net, a, agent } = await setup(t);
    t.not(connect(net, a, 'none', ['169.254.169.254', 80]).errno, 'EPERM');
    const accepted = await agent.call('accepted');
    t.deepEqual(
      accepted.map(({ local }) => local),
      [{ address: '169.254.169.254', port: 80 }],
    );
  },
);

test.serial('a process of the agent is not marked, also when it sits in a child cgroup', async (t) => {
  const { net, a, x, agent } = await setup(t);
  for (const cgroup of [agent.config.agentCgroup, net.makeCgroup('agent/worker/1')]) {
    t.is(connect(net, { ...a, cgroup }, 'root', [x.v4, 80]).data, 'x\nhello\n');
  }
  t.is((await agent.call('accepted')).length, 0);
  t.is((await agent.call('verdicts')).PASS_AGENT, 2);
});

test.serial('v4-mapped destinations are captured as IPv4', async (t) => {
  const { net, a, x, agent } = await setup(t);
  t.is(connect(net, a, 'none', [`::ffff:${x.v4}`, 80]).data, 'x\nhello\n');
  t.is((await agent.call('accepted'))[0]?.local.address, x.v4);
});

test.serial(
  'an address that a later program put in is told to the agent with the one that was asked for',
  async (t) => {
    const net = new ScratchNet(t);
    const [a, x] = [net.pod('a'), net.pod('x')];
    const agent = await CaptureAgent.start(t, net);
    await serve(t, net, x, 8080);
    const directory = mkdtempSync(join(tmpdir(), 'aq-rewrite-'));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const source = fileURLToPath(new URL('fixtures/rewrite.bpf.c', import.meta.url));
    const object = join(directory, 'rewrite.o');
    const include = `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
    execFileSync('clang', ['-g', '-O2', '-target', 'bpf', '-idirafter', include, '-c', source, '-o', object]);
    const word = (address: string) => encodeAddress(address).slice(12);
    const collection = native.loadCollection(readFileSync(object), {
      name: 'rewrite',
      constants: { from_v4: word('10.96.0.9'), to_v4: word(x.v4) },
      reuseMaps: {},
      maxEntries: {},
      programs: null,
    });
    const link = native.attachCgroup(net.cgroup, collection.program('rewrite4'), 'connect4');
    t.teardown(() => {
      link.close();
      collection.close();
    });
    await agent.enrol(a);
    t.is(connect(net, a, 'none', ['10.96.0.9', 80]).data, 'x\nhello\n');
    const [seen] = await agent.call('accepted');
    t.deepEqual(seen?.local, { address: x.v4, port: 8080 });
    t.deepEqual(seen?.asked, { address: '10.96.0.9', port: 80 });
    t.is((await agent.call('verdicts')).NOTE_REWRITTEN, 1);
    t.is(connect(net, a, 'none', [x.v4, 8080]).data, 'x\nhello\n');
    t.is((await agent.call('accepted'))[1]?.asked, null);
  },
);

test.serial('a refusal is reported with pod, reason and destination', async (t) => {
  const net = new ScratchNet(t);
  const [a, x] = [net.pod('a'), net.pod('x')];
  const config = {
    instance: net.name,
    bpffs: bpffs(),
    cgroupRoot: net.cgroup,
    agentCgroup: net.makeCgroup('agent'),
    nodeCgroup: net.node.cgroup,
    limits: { olderConnectionsPerPod: 16, kernelEventsPerSecond: 20 },
  };
  const redirect = new Redirect(native, config);
  await redirect.start();
  t.teardown(() => redirect.close({ detach: true }));
  const { slot } = redirect.enrol({
    uid: 'a',
    namespace: 'test',
    name: 'a',
    netns: a.netnsPath,
    cgroup: a.cgroup,
    addresses: [a.v4, a.v6],
  });
  const events: KernelEvent[] = [];
  const end = redirect.onEvent((event) => events.push(event));
  const keepAlive = setInterval(() => {}, 50);
  connect(net, a, 'none', [x.v6, 80], ['--device', 'eth0']);
  connect(net, a, 'none', [x.v4, 80], ['--timeout', '0.5']);
  await until('both events', () => events.length >= 2);
  clearInterval(keepAlive);
  end();
  const [device, listener] = events;
  t.like(device, { reason: 'DROP_BOUND_DEVICE', slot, protocol: 6, local: null, remote: { address: x.v6, port: 80 } });
  t.true((device?.netnsCookie ?? 0n) > 0n);
  // Steer sees the pod's end as the remote one.
  t.like(listener, { reason: 'DROP_NO_LISTENER', slot, local: { address: x.v4, port: 80 } });
  t.is(listener?.remote?.address, a.v4);
});
