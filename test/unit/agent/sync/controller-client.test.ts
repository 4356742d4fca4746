import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import pino from 'pino';
import { judgeInbound } from '../../../../agent/decide/judge.ts';
import { ControllerClient } from '../../../../agent/sync/controller-client.ts';
import { SYNC_LIMITS } from '../../../../agent/sync/limits.ts';
import { SnapshotStore } from '../../../../agent/sync/snapshot-store.ts';
import { stateFilePath } from '../../../../agent/sync/state-file.ts';
import { TYPE_ADDRESS, TYPE_AUTHORIZATION, TYPE_OUTBOUND } from '../../../../agent/sync/types.ts';
import { until } from '../../../support/eventually.ts';
import { FakeController } from '../../../support/fake-controller.ts';
import { addressBytes, facts } from '../../../support/mesh.ts';
import { ref, wireOutbound, wirePolicy, wireService, wireWorkload, workloadExtension } from '../../../support/wire.ts';

const LIMITS = { ...SYNC_LIMITS, backoffMaxMs: 50, stateWriteDelayMs: 5, connectTimeoutMs: 2_000 };
const UID = 'Kubernetes//Pod/shop/web';

async function setup(t: ExecutionContext) {
  const controller = new FakeController();
  t.teardown(() => controller.dispose());
  await controller.start();
  const agent = () => {
    const store = new SnapshotStore();
    const warnings: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => warnings.push(line) });
    const client = new ControllerClient({ store, config: controller.config, logger, limits: LIMITS });
    t.teardown(() => client.close());
    return { store, client, warnings };
  };
  return { controller, agent };
}

async function connected(t: ExecutionContext) {
  const { controller, agent } = await setup(t);
  const { store, client, warnings } = agent();
  client.start();
  await controller.subscription(TYPE_ADDRESS);
  return { controller, agent, store, client, warnings };
}

const named = (version: string) =>
  wireWorkload('shop/web', { extensions: [workloadExtension({ policies: [ref('shop/p', version)] })] }, version);

test('the client subscribes to everything of three types, with its token and the name of its node', async (t) => {
  const { controller, client } = await connected(t);
  for (const type of [TYPE_ADDRESS, TYPE_AUTHORIZATION, TYPE_OUTBOUND]) {
    const request = await controller.subscription(type);
    t.like(request, {
      node: { id: 'node-1' },
      resourceNamesSubscribe: [],
      initialResourceVersions: {},
      responseNonce: '',
    });
  }
  t.deepEqual(controller.tokens, ['token-1']);
  t.is(client.state.phase, 'connected');
  t.false(client.state.synced);
});

test('a response is live before it is acknowledged', async (t) => {
  const { controller, store, client } = await connected(t);
  let live = 0;
  store.onChange(({ version }) => {
    live = version;
    t.is(controller.requests.filter(({ responseNonce }) => responseNonce !== '').length, version - 1);
  });
  const nonce = controller.send(TYPE_ADDRESS, [
    wireWorkload('shop/web', { addresses: [addressBytes('10.0.0.1')] }),
    wireService('shop/db', '10.96.0.5'),
  ]);
  t.is((await controller.answer(nonce)).errorDetail, undefined);
  t.is(live, 1);
  t.is(store.current.workloadByAddress.get('10.0.0.1')?.uid, UID);
  t.true(store.current.serviceByAddress.has('10.96.0.5'));
  await controller.answer(controller.send(TYPE_AUTHORIZATION, []));
  t.true(client.state.synced);
  t.is(client.state.acked, 2);
});

test('a batch in several responses goes live with the last of them, also over a broken connection', async (t) => {
  const { controller, store, client } = await connected(t);
  await controller.answer(controller.send(TYPE_ADDRESS, [wireWorkload('shop/web')], [], '7+'));
  await controller.answer(controller.send(TYPE_AUTHORIZATION, []));
  t.is(store.current.workloads.size, 0);
  t.false(client.state.synced);
  const from = controller.requests.length;
  controller.hangUp();
  t.deepEqual((await controller.subscription(TYPE_ADDRESS, from)).initialResourceVersions, { [UID]: '1' });
  await controller.answer(controller.send(TYPE_ADDRESS, [wireService('shop/db', '10.96.0.5')]));
  t.true(store.current.workloads.has(UID));
  t.true(store.current.serviceByAddress.has('10.96.0.5'));
  t.true(client.state.synced);
});

test('removed resources go', async (t) => {
  const { controller, store } = await connected(t);
  await controller.answer(
    controller.send(TYPE_ADDRESS, [wireWorkload('shop/web'), wireService('shop/db', '10.96.0.5')]),
  );
  await controller.answer(controller.send(TYPE_ADDRESS, [], [UID, 'shop/db.shop.svc.cluster.local', 'unheard-of']));
  t.is(store.current.workloads.size, 0);
  t.is(store.current.services.size, 0);
});

test('without references a workload waits until both types came once', async (t) => {
  const { controller, store } = await connected(t);
  await controller.answer(controller.send(TYPE_ADDRESS, [wireWorkload('shop/web')]));
  t.true(store.current.awaiting.has(UID));
  await controller.answer(controller.send(TYPE_AUTHORIZATION, []));
  t.false(store.current.awaiting.has(UID));
  // A selector policy that is named and has not come holds it again.
  await controller.answer(
    controller.send(TYPE_ADDRESS, [wireWorkload('shop/web', { authorizationPolicies: ['shop/p'] })]),
  );
  t.true(store.current.awaiting.has(UID));
  await controller.answer(controller.send(TYPE_AUTHORIZATION, [wirePolicy('shop/p')]));
  t.false(store.current.awaiting.has(UID));
});

test('a malformed resource is refused by name and reason, what is good beside it is taken', async (t) => {
  const { controller, store, client, warnings } = await connected(t);
  const broken = wireWorkload('shop/broken', { addresses: [new Uint8Array(5)] });
  const answer = await controller.answer(controller.send(TYPE_ADDRESS, [broken, wireWorkload('shop/web')]));
  t.is(answer.errorDetail?.code, 3);
  t.regex(
    answer.errorDetail?.message ?? '',
    /^Kubernetes\/\/Pod\/shop\/broken: addresses\[0\]: 5 bytes, expected 4 or 16$/,
  );
  t.true(store.current.workloads.has(UID));
  t.is(client.state.nacked, 1);
  t.is(client.state.rejections[0]?.name, 'Kubernetes//Pod/shop/broken');
  t.true(warnings.some((line) => line.includes('MESH_SYNC_REJECTED')));
});

test('a refused version leaves the last good one in place and holds the workload, until a good one comes', async (t) => {
  const { controller, store, client } = await connected(t);
  await controller.answer(controller.send(TYPE_AUTHORIZATION, []));
  await controller.answer(
    controller.send(TYPE_ADDRESS, [wireWorkload('shop/web', { addresses: [addressBytes('10.0.0.1')] })]),
  );
  t.false(store.current.awaiting.has(UID));
  const bad = wireWorkload('shop/web', { extensions: [{ name: 'aquifer.dev/later' }] });
  await controller.answer(controller.send(TYPE_ADDRESS, [bad]));
  t.true(store.current.workloadByAddress.has('10.0.0.1'));
  t.true(store.current.awaiting.has(UID));
  await controller.answer(controller.send(TYPE_ADDRESS, [wireWorkload('shop/web')]));
  t.false(store.current.awaiting.has(UID));
  t.deepEqual(client.state.rejections, []);
});

test('a refused policy holds those who name its version, and under istiod those whom it may concern', async (t) => {
  const { controller, store } = await connected(t);
  const awaiting = () => [...store.current.awaiting].map((uid) => uid.slice('Kubernetes//Pod/'.length)).sort();
  await controller.answer(
    controller.send(TYPE_ADDRESS, [named('v1'), wireWorkload('shop/istio'), wireWorkload('other/istio')]),
  );
  await controller.answer(controller.send(TYPE_AUTHORIZATION, [wirePolicy('shop/p', {}, 'v1')]));
  t.deepEqual(awaiting(), []);
  const bad = controller.send(TYPE_AUTHORIZATION, [wirePolicy('shop/p', { action: 9 as never }, 'v2')]);
  t.regex((await controller.answer(bad)).errorDetail?.message ?? '', /^shop\/p: action: unknown value 9$/);
  t.is(store.current.policies.get('Inbound shop/p')?.version, 'v1', 'the last good one stays');
  t.deepEqual(awaiting(), ['shop/istio']);
  await controller.answer(controller.send(TYPE_ADDRESS, [named('v2')]));
  t.deepEqual(awaiting(), ['shop/istio', 'shop/web']);
  await controller.answer(controller.send(TYPE_AUTHORIZATION, [wirePolicy('shop/p', {}, 'v2')]));
  t.deepEqual(awaiting(), []);
  // Whom it concerns cannot be read: so it may be anyone.
  const unreadable = wirePolicy('shop/q');
  if (unreadable.resource !== undefined) unreadable.resource.value = Uint8Array.of(0xff, 0xff);
  await controller.answer(controller.send(TYPE_AUTHORIZATION, [unreadable]));
  t.deepEqual(awaiting(), ['other/istio', 'shop/istio']);
  await controller.answer(controller.send(TYPE_AUTHORIZATION, [], ['shop/q']));
  t.deepEqual(awaiting(), []);
});

test('the address of a Service that was refused and never known is not taken for the outside', async (t) => {
  const { controller, store } = await connected(t);
  const bad = wireService('shop/db', '10.96.0.5', { extensions: [{ name: 'aquifer.dev/later' }] });
  await controller.answer(controller.send(TYPE_ADDRESS, [bad]));
  t.true(store.current.heldAddresses?.has('10.96.0.5'));
  await controller.answer(controller.send(TYPE_ADDRESS, [wireService('shop/db', '10.96.0.5')]));
  t.false(store.current.heldAddresses?.has('10.96.0.5'));
});

test('in whatever order workloads and policies come, nothing is allowed before its policy is there', async (t) => {
  const { controller, store } = await connected(t);
  const unnamed = wireWorkload('shop/web', { extensions: [workloadExtension({ policies: [ref('shop/p', 'v1')] })] });
  // Each policy refuses the caller; so every verdict but a refusal or a wait is an opening.
  const openings: string[] = [];
  store.onChange((snapshot) => {
    const destination = snapshot.workloads.get(UID);
    if (destination === undefined) return;
    const verdict = judgeInbound(facts({ destination }), snapshot);
    if (verdict.allowed) openings.push(`at version ${snapshot.version}: ${JSON.stringify(verdict)}`);
  });
  let seed = 42;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  let last = '';
  for (let round = 0; round < 60; round++) {
    const version = `v${round}`;
    const moves = [
      () => controller.send(TYPE_ADDRESS, [named(version)]),
      () => controller.send(TYPE_AUTHORIZATION, [wirePolicy('shop/p', {}, version)]),
      () => controller.send(TYPE_OUTBOUND, [wireOutbound('shop/p', {}, version)]),
      () => controller.send(TYPE_AUTHORIZATION, [], ['shop/p']),
      () => controller.send(TYPE_AUTHORIZATION, [wirePolicy('shop/p', { action: 9 as never }, version)]),
      () => controller.send(TYPE_ADDRESS, [], [UID]),
      () => controller.send(TYPE_ADDRESS, [unnamed]),
    ];
    for (const move of moves.toSorted(() => random() - 0.5).slice(0, 1 + Math.floor(random() * moves.length))) {
      last = move();
      if (random() < 0.3) await controller.answer(last);
    }
  }
  await controller.answer(last);
  t.deepEqual(openings, []);
  t.true(store.current.version > 20);
  await controller.answer(controller.send(TYPE_AUTHORIZATION, [wirePolicy('shop/p', {}, 'end')]));
  await controller.answer(controller.send(TYPE_ADDRESS, [named('end')]));
  const destination = store.current.workloads.get(UID) ?? null;
  t.is(judgeInbound(facts({ destination }), store.current).reason, 'policy_denied');
});

test('after a broken connection the client comes back with the versions it holds', async (t) => {
  const { controller, store, client } = await connected(t);
  await controller.answer(controller.send(TYPE_ADDRESS, [wireWorkload('shop/web', {}, 'v3')]));
  const before = store.current;
  const from = controller.requests.length;
  controller.hangUp();
  t.deepEqual((await controller.subscription(TYPE_ADDRESS, from)).initialResourceVersions, { [UID]: 'v3' });
  t.is(store.current, before, 'the snapshot stays as it was');
  t.is(client.state.connects, 2);
});

test('trust bundle and token are read again at each attempt', async (t) => {
  const { controller, client } = await connected(t);
  controller.stop();
  controller.token = 'token-2';
  await controller.start({ writeCa: false });
  await until('the attempt failed', () => client.state.phase === 'waiting');
  t.is(controller.tokens.length, 1, 'the new certificate is not trusted yet');
  controller.stop();
  await controller.start();
  await until('another attempt', () => controller.tokens.length > 1);
  await until('the token is refused', () => /token is not known/.test(client.state.lastError ?? ''));
  writeFileSync(controller.config.controller.tokenFile, 'token-2');
  await until('the new token is taken', () => controller.connected);
  await until('connected', () => client.state.phase === 'connected');
});

test('a missing CA file is an attempt that failed, not the end', async (t) => {
  const { controller, agent } = await setup(t);
  const { client } = agent();
  const { caFile } = controller.config.controller;
  const bundle = readFileSync(caFile);
  writeFileSync(caFile, '');
  client.start();
  await until('the attempt failed', () => client.state.phase === 'waiting');
  writeFileSync(caFile, bundle);
  await until('connected', () => client.state.phase === 'connected');
  t.deepEqual(controller.tokens, ['token-1']);
});

test('an agent that starts while the controller is down goes on where the last one was', async (t) => {
  const { controller, agent, client } = await connected(t);
  await controller.answer(controller.send(TYPE_AUTHORIZATION, [wirePolicy('shop/p', {}, 'v1')]));
  await controller.answer(controller.send(TYPE_OUTBOUND, [wireOutbound('shop/o')]));
  await controller.answer(
    controller.send(TYPE_ADDRESS, [named('v1'), wireWorkload('shop/istio'), wireService('shop/db', '10.96.0.5')]),
  );
  await client.close();
  controller.stop();
  t.is(statSync(stateFilePath(controller.directory)).mode & 0o777, 0o600);

  const next = agent();
  next.client.start();
  t.is(next.store.current.version, 1);
  t.is(next.store.current.workloads.size, 2);
  t.is(next.store.current.policies.size, 2);
  t.true(next.store.current.serviceByAddress.has('10.96.0.5'));
  t.is(next.store.current.awaiting.size, 0);
  t.true(next.client.state.synced);
  const from = controller.requests.length;
  await controller.start();
  t.like(await controller.subscription(TYPE_AUTHORIZATION, from), { initialResourceVersions: { 'shop/p': 'v1' } });
});

test('a state file that is cut, changed or foreign is ignored with a warning', async (t) => {
  const { controller, agent, client } = await connected(t);
  await controller.answer(controller.send(TYPE_ADDRESS, [wireWorkload('shop/web')]));
  await client.close();
  const path = stateFilePath(controller.directory);
  t.deepEqual(
    readdirSync(controller.directory).filter((name) => name.endsWith('.tmp')),
    [],
  );
  const good = readFileSync(path);
  const flipped = Buffer.from(good);
  flipped[20] = (flipped[20] ?? 0) ^ 1;
  for (const bytes of [good.subarray(0, -1), flipped, Buffer.from('hello'), Buffer.alloc(0)]) {
    writeFileSync(path, bytes);
    const { client: next, store, warnings } = agent();
    next.start();
    t.is(store.current.version, 0);
    t.true(warnings.some((line) => line.includes('saved state is not used')));
    await next.close();
  }
  writeFileSync(path, good);
  const { client: last, store } = agent();
  last.start();
  t.true(store.current.workloads.has(UID));
});

test('a state that cannot be written is a warning', async (t) => {
  const { controller, client, warnings } = await connected(t);
  mkdirSync(stateFilePath(controller.directory));
  await controller.answer(controller.send(TYPE_ADDRESS, [wireWorkload('shop/web')]));
  await client.close();
  t.true(warnings.some((line) => line.includes('state could not be saved')));
});
