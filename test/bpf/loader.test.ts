import { existsSync, readdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { Pins } from '../../agent/redirect/pins.ts';
import { Redirect } from '../../agent/redirect/redirect.ts';
import type { PodDescription, RedirectConfig } from '../../agent/redirect/types.ts';
import { type CgroupAttach, loadNative, type NativeError } from '../../native/index.ts';
import { CaptureAgent } from '../support/capture.ts';
import { until } from '../support/eventually.ts';
import { bpffs, type Scope, ScratchNet, type ScratchPod } from '../support/netns.ts';
import { connect, serve } from '../support/tcp-programs.ts';

const native = loadNative();

function configOf(net: ScratchNet): RedirectConfig {
  return {
    instance: net.name,
    bpffs: bpffs(),
    cgroupRoot: net.cgroup,
    agentCgroup: net.makeCgroup('agent'),
    nodeCgroup: net.node.cgroup,
    limits: { olderConnectionsPerPod: 16, kernelEventsPerSecond: 20 },
  };
}

/** An instance that this process loads, and whose pins go with the test. */
function setup(t: Scope) {
  const net = new ScratchNet(t);
  const config = configOf(net);
  const pins = new Pins(native, config.bpffs, config.instance);
  t.teardown(() => rmSync(pins.root, { recursive: true, force: true }));
  const start = async () => {
    const redirect = new Redirect(native, config);
    return { redirect, ...(await redirect.start()) };
  };
  return { net, config, pins, start };
}

function describe({ name, netnsPath, cgroup, v4, v6 }: ScratchPod): PodDescription {
  return { uid: `uid.${name}`, namespace: 'test', name, netns: netnsPath, cgroup, addresses: [v4, v6] };
}

/** Ids of what is attached there itself; agents that others run on this machine attach at the root. */
function attachedAt(cgroup: string, attach: CgroupAttach): number[] {
  const above = new Set(native.queryCgroup(dirname(cgroup), attach).map(({ id }) => id));
  return native.queryCgroup(cgroup, attach).flatMap(({ id }) => (above.has(id) ? [] : [id]));
}

function linkAt(path: string): { id: number; programId: number } {
  const link = native.openPinnedLink(path);
  const { id, programId } = link.info;
  link.close();
  return { id, programId };
}

test.serial('the first start pins maps, programs and links below a versioned directory', async (t) => {
  const { pins, start, config } = setup(t);
  const { redirect, reused } = await start();
  t.false(reused);
  t.deepEqual(readdirSync(pins.root), ['v1']);
  t.deepEqual(readdirSync(pins.live).sort(), ['abi', 'links', 'maps', 'pods', 'programs']);
  const links = readdirSync(join(pins.live, 'links')).map((name) => name.replace(/-\d+$/, ''));
  t.deepEqual(links.sort(), ['agent', 'connect4', 'connect6', 'node']);
  t.is(attachedAt(config.cgroupRoot, 'connect4').length, 1);
  redirect.close({ detach: true });
  t.false(existsSync(pins.root));
  t.deepEqual(attachedAt(config.cgroupRoot, 'connect4'), []);
});

test.serial('a start that fails leaves nothing behind', async (t) => {
  const { pins, config } = setup(t);
  const broken = new Redirect(native, {
    ...config,
    cgroupRoot: config.agentCgroup,
    nodeCgroup: `${config.nodeCgroup}`,
  });
  const refuse = {
    ...native,
    attachCgroup: (...args: Parameters<typeof native.attachCgroup>) => {
      if (args[2] === 'connect6') throw Object.assign(new Error('no'), { code: 'EPERM' });
      return native.attachCgroup(...args);
    },
  };
  const half = new Redirect(refuse as typeof native, config);
  const error = (await t.throwsAsync(half.start())) as NativeError;
  t.is(error.code, 'MESH_BPF_LOAD');
  t.deepEqual(readdirSync(pins.root), []);
  t.deepEqual(attachedAt(config.cgroupRoot, 'connect4'), []);
  t.deepEqual(attachedAt(config.agentCgroup, 'sock_ops'), []);
  await broken.start();
  broken.close({ detach: true });
});

test.serial('what a killed agent left half built is removed at the next start', async (t) => {
  const { pins, start, config } = setup(t);
  pins.begin();
  t.is(readdirSync(pins.root).length, 1);
  const { redirect } = await start();
  t.deepEqual(readdirSync(pins.root), ['v1']);
  redirect.close({ detach: true });
  t.deepEqual(attachedAt(config.cgroupRoot, 'connect6'), []);
});

test.serial('a successor goes on with maps and links, and replaces the programs in one step each', async (t) => {
  const { net, pins, start } = setup(t);
  const pod = net.pod('a');
  const first = await start();
  const { slot } = first.redirect.enrol(describe(pod));
  first.redirect.setProbePorts(slot, [8080]);
  const names = ['links/connect4', 'links/connect6', 'pods/uid%2Ea/steer', 'pods/uid%2Ea/guard_egress'];
  const before = names.map((name) => linkAt(join(pins.live, name)));
  const second = await start();
  t.true(second.reused);
  t.deepEqual(second.redirect.pinnedPods(), ['uid.a']);
  // Another rate is another constant, so that the programs differ.
  t.is(second.redirect.enrol(describe(pod)).slot, slot);
  const after = names.map((name) => linkAt(join(pins.live, name)));
  t.deepEqual(
    after.map(({ id }) => id),
    before.map(({ id }) => id),
  );
  t.not(after[0]?.programId, before[0]?.programId);
  t.is(after[2]?.programId, before[2]?.programId, 'the same programs are not loaded again');
  first.redirect.close({ detach: false });
  t.deepEqual(second.redirect.verify('uid.a'), []);
  second.redirect.close({ detach: true });
});

test.serial('a successor with other constants replaces the pods programs too', async (t) => {
  const { net, config, pins, start } = setup(t);
  const pod = net.pod('a');
  const first = await start();
  first.redirect.enrol(describe(pod));
  const path = join(pins.live, 'pods', 'uid%2Ea', 'steer');
  const before = linkAt(path);
  const limits = { ...config.limits, kernelEventsPerSecond: 21 };
  const second = new Redirect(native, { ...config, limits });
  await second.start();
  second.enrol(describe(pod));
  t.is(linkAt(path).id, before.id);
  t.not(linkAt(path).programId, before.programId);
  first.redirect.close({ detach: false });
  second.close({ detach: true });
});

test.serial('a successor that cannot load leaves the predecessor in force', async (t) => {
  const { pins, start, config } = setup(t);
  const first = await start();
  const path = join(pins.live, 'links', 'connect4');
  const before = linkAt(path);
  const broken = {
    ...native,
    openPinnedLink: (link: string) => {
      if (link.endsWith('connect6')) throw Object.assign(new Error('no'), { code: 'EPERM' });
      return native.openPinnedLink(link);
    },
  };
  await t.throwsAsync(new Redirect(broken as typeof native, config).start());
  t.deepEqual(linkAt(path), before);
  first.redirect.close({ detach: true });
});

test.serial('state of a version with other layouts is refused, and stays', async (t) => {
  const { pins, start, config } = setup(t);
  const first = await start();
  const abi = join(pins.live, 'abi');
  unlinkSync(abi);
  symlinkSync('0000', abi);
  const error = await t.throwsAsync(new Redirect(native, config).start(), { message: /other map layouts/ });
  t.is((error as NativeError | undefined)?.code, 'MESH_BPF_LOAD');
  t.true(existsSync(pins.live));
  first.redirect.close({ detach: true });
});

test.serial('two instances on one kernel do not see each other', async (t) => {
  const one = setup(t);
  const two = setup(t);
  const [a, b] = [one.net.pod('a'), two.net.pod('a')];
  const first = await one.start();
  const second = await two.start();
  first.redirect.enrol(describe(a));
  t.deepEqual(second.redirect.pinnedPods(), []);
  t.is(connect(two.net, b, 'none', ['10.77.0.1', 9]).errno, 'ECONNREFUSED');
  t.is(connect(one.net, a, 'none', ['10.77.0.1', 9], ['--timeout', '1']).errno, 'timeout');
  t.is(second.redirect.verdicts().PASS_CAPTURED, 0);
  first.redirect.close({ detach: true });
  second.redirect.close({ detach: true });
});

test.serial('pods that ended while no agent ran are pruned, with their slots', async (t) => {
  const { net, pins, start } = setup(t);
  const [a, b] = [net.pod('a'), net.pod('b')];
  const first = await start();
  first.redirect.enrol(describe(a));
  first.redirect.enrol(describe(b));
  first.redirect.close({ detach: false });
  const second = await start();
  second.redirect.enrol(describe(b));
  second.redirect.prune(new Set(['uid.b']));
  t.deepEqual(pins.podUids(), ['uid.b']);
  t.deepEqual(attachedAt(a.cgroup, 'egress'), []);
  const map = native.openPinnedMap(pins.map('enrolled'));
  t.is(map.entries().length, 1);
  map.close();
  second.redirect.close({ detach: true });
});

test.serial('an agent that was killed is refused for, and its successor serves the same pods', async (t) => {
  const net = new ScratchNet(t);
  const [a, x] = [net.pod('a'), net.pod('x')];
  const agent = await CaptureAgent.start(t, net);
  const server = await serve(t, net, x, 80);
  await agent.enrol(a);
  t.is(connect(net, a, 'none', [x.v4, 80]).data, 'x\nhello\n');
  await agent.kill();
  t.is(connect(net, a, 'none', [x.v4, 80], ['--timeout', '1']).errno, 'timeout');
  t.true((await agent.restart()).reused);
  const { ms } = await agent.enrol(a);
  t.log(`enrolled again in ${ms.toFixed(1)} ms`);
  t.is(connect(net, a, 'none', [x.v4, 80]).data, 'x\nhello\n');
  await until('both were served', () => server.accepted().length === 2);
});
