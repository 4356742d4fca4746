import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { PodListeners } from '../../../../agent/accept/listeners.ts';
import { Enrolment } from '../../../../agent/enrolment/enrolment.ts';
import { type PodFile, PodFileSchema } from '../../../../agent/enrolment/pod-file.ts';
import { PodSource } from '../../../../agent/enrolment/pod-source.ts';
import { Tally } from '../../../../agent/observe/tally.ts';
import { limits, snapshot, workload } from '../../../support/agent-fakes.ts';
import { until } from '../../../support/eventually.ts';

const file = (name: string, address: string, overrides = {}): PodFile =>
  PodFileSchema.parse({
    uid: `uid-${name}`,
    namespace: 'shop',
    name,
    netns: '/run/netns/x',
    cgroup: '/cg',
    addresses: [address],
    ...overrides,
  });
const filesOf = (...all: PodFile[]) => new Map(all.map((each) => [each.uid, each]));

function setUp(capabilities: 'Warn' | 'Refuse' = 'Warn') {
  const calls: string[] = [];
  let failing = false;
  const enrolment = new Enrolment({
    redirect: {
      enrol: ({ uid }) => {
        if (failing) throw new Error('map is full');
        calls.push(`enrol ${uid}`);
        return { slot: 3, netns: 9 };
      },
      unenrol: (uid) => calls.push(`unenrol ${uid}`),
      setListeners: (slot, { outbound }) => calls.push(`listeners ${slot} ${outbound}`),
      setProbePorts: (slot, ports) => calls.push(`probes ${slot} ${ports.join()}`),
    },
    openListeners: (pod) => {
      calls.push(`open ${pod.uid}`);
      return {
        descriptors: () => ({ outbound: 1, inbound: 2, hbone: 3 }),
        close: () => calls.push('close'),
      } as unknown as PodListeners;
    },
    events: {
      onEnrolled: () => {},
      onUnenrolling: ({ uid }, ended) => calls.push(`unenrolling ${uid} ${ended}`),
      onFailed: (_, reason) => calls.push(`failed ${reason}`),
      onWarning: (_, warning) => calls.push(`warning ${warning}`),
    },
    limits: { ...limits(), enrolRetryMinMs: 10, drainAcceptGraceMs: 20 },
    limitHits: new Tally(),
    capabilities,
    monotonicMs: () => performance.now(),
  });
  return {
    enrolment,
    calls,
    fail: (value: boolean) => {
      failing = value;
    },
  };
}

test('a pod is enrolled when its workload says so, and leaves when it says no more', async (t) => {
  const { enrolment, calls } = setUp();
  enrolment.onPods(filesOf(file('web', '10.0.0.1')));
  t.deepEqual(
    [...enrolment.pods()].map(({ state }) => state),
    ['pending'],
  );
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1', { probePorts: [8080] })] }));
  t.deepEqual(calls.splice(0), ['enrol uid-web', 'open uid-web', 'listeners 3 1', 'probes 3 8080']);
  t.is(enrolment.byAddress.get('10.0.0.1')?.slot, 3);
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1', { enrolled: false })] }));
  t.deepEqual(calls.splice(0), ['unenrolling uid-web false', 'unenrol uid-web'], 'what waits is still accepted');
  t.deepEqual(
    [...enrolment.pods()].map(({ state }) => state),
    ['not_enrolled'],
  );
  await until('the listeners are closed', () => calls.includes('close'));
});

test('many pods are enrolled one a turn, and one that has changed its mind is left out', async (t) => {
  const { enrolment, calls } = setUp();
  const names = ['a', 'b', 'c'];
  const all = (enrolled: boolean[]) =>
    snapshot({ workloads: names.map((name, i) => workload(name, `10.0.0.${i}`, { enrolled: enrolled[i] === true })) });
  enrolment.onPods(filesOf(...names.map((name, i) => file(name, `10.0.0.${i}`))));
  enrolment.onSnapshot(all([true, true, true]));
  const enrolled = () => calls.filter((call) => call.startsWith('enrol '));
  t.deepEqual(enrolled(), ['enrol uid-a']);
  enrolment.onSnapshot(all([true, false, true]));
  await enrolment.idle();
  t.deepEqual(enrolled(), ['enrol uid-a', 'enrol uid-c']);
});

test('an address that another pod holds in the snapshot enrols nobody', (t) => {
  const { enrolment, calls } = setUp();
  enrolment.onPods(filesOf(file('new', '10.0.0.1')));
  enrolment.onSnapshot(snapshot({ workloads: [workload('old', '10.0.0.1')] }));
  t.deepEqual(calls, []);
  t.deepEqual(
    [...enrolment.pods()].map(({ state }) => state),
    ['pending'],
  );
});

test('a snapshot that has lost the workload leaves an enrolled pod captured', (t) => {
  const { enrolment, calls } = setUp();
  enrolment.onPods(filesOf(file('web', '10.0.0.1')));
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1')] }));
  calls.length = 0;
  enrolment.onSnapshot(snapshot({}));
  t.deepEqual(calls, []);
});

test('a failure is reported with its reason and tried again', async (t) => {
  const { enrolment, calls, fail } = setUp();
  fail(true);
  enrolment.onPods(filesOf(file('web', '10.0.0.1')));
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1')] }));
  t.like(await enrolment.wait('uid-web', 1_000), { state: 'failed', reason: 'map is full' });
  fail(false);
  await new Promise((resolve) => setTimeout(resolve, 40));
  t.is([...enrolment.pods()][0]?.state, 'enrolled');
  t.is(calls[0], 'failed map is full');
});

test('a pod whose enrolment failed is freed when it shall not be enrolled any more', (t) => {
  const { enrolment, calls, fail } = setUp();
  fail(true);
  enrolment.onPods(filesOf(file('web', '10.0.0.1')));
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1')] }));
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1', { enrolled: false })] }));
  t.deepEqual(calls, ['failed map is full', 'unenrol uid-web']);
  t.is([...enrolment.pods()][0]?.state, 'not_enrolled');
});

test('a pod that ends is forgotten, and whoever waits for it is told', async (t) => {
  const { enrolment, calls } = setUp();
  enrolment.onPods(filesOf(file('web', '10.0.0.1')));
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1')] }));
  calls.length = 0;
  enrolment.onPods(new Map());
  t.deepEqual(calls, ['unenrolling uid-web true', 'unenrol uid-web', 'close']);
  t.is(await enrolment.wait('uid-web', 1), null);
});

test('capabilities that defeat a capture are said, or refused', (t) => {
  for (const [mode, state] of [
    ['Warn', 'enrolled'],
    ['Refuse', 'failed'],
  ] as const) {
    const { enrolment, calls } = setUp(mode);
    enrolment.onPods(filesOf(file('web', '10.0.0.1', { capabilities: ['CAP_CHOWN', 'CAP_NET_RAW'] })));
    enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1')] }));
    const [entry] = enrolment.pods();
    t.is(entry?.state, state);
    t.regex(entry?.reason ?? '', /CAP_NET_RAW/);
    // Refused means captured with nobody to listen, not left alone.
    t.is(calls[0], 'enrol uid-web');
    t.is(calls.includes('open uid-web'), mode === 'Warn');
  }
});

test('a pod in the network of the node is never enrolled', (t) => {
  const { enrolment, calls } = setUp();
  enrolment.onPods(filesOf(file('web', '10.0.0.1', { hostNetwork: true })));
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1')] }));
  t.deepEqual(calls, []);
});

test('what was enrolled before a restart gets its listeners before any snapshot', (t) => {
  const { enrolment, calls } = setUp();
  enrolment.onPods(filesOf(file('web', '10.0.0.1')));
  enrolment.restore(['uid-web', 'uid-gone']);
  t.deepEqual(calls, ['enrol uid-web', 'open uid-web', 'listeners 3 1']);
});

test('a predecessor leaves the pods to its successor', (t) => {
  const { enrolment, calls } = setUp();
  enrolment.onPods(filesOf(file('web', '10.0.0.1')));
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1')] }));
  calls.length = 0;
  enrolment.freeze();
  enrolment.onPods(new Map());
  enrolment.onSnapshot(snapshot({ workloads: [workload('web', '10.0.0.1', { enrolled: false })] }));
  t.deepEqual(calls, []);
});

test('the pod source sees files come, change and go, and keeps the last good one', async (t) => {
  const directory = join(mkdtempSync(join(tmpdir(), 'aq-pods-')), 'pods');
  t.teardown(() => rmSync(join(directory, '..'), { recursive: true }));
  const seen: string[][] = [];
  const invalid: string[] = [];
  const source = new PodSource(directory, 20, {
    onPods: (pods) => seen.push([...pods.values()].map(({ name }) => name)),
    onInvalid: (name) => invalid.push(name),
  });
  t.teardown(() => source.close());
  source.start();
  mkdirSync(directory);
  const put = (text: string) => {
    writeFileSync(join(directory, 'uid-web.tmp'), text);
    renameSync(join(directory, 'uid-web.tmp'), join(directory, 'uid-web.json'));
  };
  const until = async (condition: () => boolean) => {
    for (let i = 0; i < 200 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    t.true(condition());
  };
  put(JSON.stringify(file('web', '10.0.0.1')));
  await until(() => seen.at(-1)?.join() === 'web');
  put('{');
  await until(() => invalid.includes('uid-web.json'));
  t.deepEqual(seen.at(-1), ['web']);
  rmSync(join(directory, 'uid-web.json'));
  await until(() => seen.at(-1)?.length === 0);
});
