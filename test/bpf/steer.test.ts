import test from 'ava';
import { encodeTuple, encodeU32, encodeU64, ORIGIN } from '../../agent/redirect/layout.ts';
import { lookupContext, PROTOCOL } from './support/packets.ts';
import { type Loaded, loadForPod, native } from './support/programs.ts';

const SLOT = 7;
const V4 = '10.1.0.5';
const V6 = 'fd01::5';
const OTHER: Record<string, string> = { [V4]: '203.0.113.9', [V6]: '2001:db8::9' };
const DROP = 0;
const PASS = 1;
const NO_DATA = new Uint8Array();

type End = readonly [string, number];

function setup(t: { teardown(undo: () => void): void }, listeners = true) {
  const loaded = loadForPod(t, 'steer', SLOT, [V4, V6]);
  const program = loaded.program('aq_steer');
  if (listeners) {
    const netns = native.createNetns();
    const options = { netns, address: '::', port: 0, backlog: 8, transparent: true };
    for (const kind of ['outbound', 'inbound', 'hbone'] as const) {
      const listener = native.listen(
        options,
        1,
        () => {},
        () => {},
      );
      loaded.maps.setListener(SLOT, kind, listener.fd);
      t.teardown(() => listener.close());
    }
    t.teardown(() => native.closeSocket(netns, false));
  }
  const steer = (local: End, remote: End, protocol = PROTOCOL.tcp) =>
    loaded.verdict(program, NO_DATA, lookupContext(local, remote, protocol));
  return { ...loaded, steer };
}

function record(loaded: Loaded, local: End, remote: End, kind: number): void {
  const tuple = { local: { address: local[0], port: local[1] }, remote: { address: remote[0], port: remote[1] } };
  const value = new Uint8Array(16);
  value.set(encodeU32(kind), 0);
  value.set(encodeU64(1n), 8);
  loaded.maps.all.originated.update(encodeTuple(tuple), value, 'any');
}

for (const mine of [V4, V6]) {
  const other = OTHER[mine] ?? '';
  const loopback = mine === V4 ? '127.0.0.1' : '::1';
  const cases: [string, End, End, number, string][] = [
    ['own address to own address passes', [mine, 8080], [mine, 40000], PASS, 'PASS_LOOPBACK'],
    ['loopback passes', [loopback, 8080], [loopback, 40000], PASS, 'PASS_LOOPBACK'],
    ['own address from loopback passes', [mine, 8080], [loopback, 40000], PASS, 'PASS_LOOPBACK'],
    ['own address at an agent port passes to whoever listens', [mine, 15006], [mine, 40000], PASS, 'PASS_LOOPBACK'],
    ['15001 from the wire is dropped', [mine, 15001], [other, 40000], DROP, 'DROP_AGENT_PORT'],
    ['15006 from the wire is dropped', [mine, 15006], [other, 40000], DROP, 'DROP_AGENT_PORT'],
    ['15008 from the wire goes to the HBONE listener', [mine, 15008], [other, 40000], PASS, 'STEER_HBONE'],
    ['15008 of somebody else is dropped', [other, 15008], [mine, 40000], DROP, 'DROP_AGENT_PORT'],
    ['15001 of somebody else is dropped', [other, 15001], [mine, 40000], DROP, 'DROP_AGENT_PORT'],
    ['from the wire goes to the inbound listener', [mine, 8080], [other, 40000], PASS, 'STEER_INBOUND'],
    ['of the app goes to the outbound listener', [other, 80], [mine, 40000], PASS, 'STEER_OUTBOUND'],
    ['neither end mine is dropped', [other, 80], [other, 40000], DROP, 'DROP_NOT_MINE'],
    ['a foreign address from loopback is dropped', [other, 80], [loopback, 40000], DROP, 'DROP_NOT_MINE'],
  ];
  for (const [name, local, remote, returned, reason] of cases) {
    test(`IPv${mine === V4 ? 4 : 6}: ${name}`, (t) => {
      const { steer } = setup(t);
      t.deepEqual(steer(local, remote), { returned, reasons: [reason] });
    });
  }

  test(`IPv${mine === V4 ? 4 : 6}: a connection that the agent recorded passes to the app, only with all of its tuple`, (t) => {
    const loaded = setup(t);
    record(loaded, [mine, 8080], [other, 40000], ORIGIN.agent);
    t.deepEqual(loaded.steer([mine, 8080], [other, 40000]), { returned: PASS, reasons: ['PASS_RECORDED'] });
    t.deepEqual(loaded.steer([mine, 9090], [other, 40000]).reasons, ['STEER_INBOUND']);
    t.deepEqual(loaded.steer([mine, 8080], [other, 40001]).reasons, ['STEER_INBOUND']);
  });

  test(`IPv${mine === V4 ? 4 : 6}: a process of the node passes to declared ports, elsewhere it is an ordinary caller`, (t) => {
    const loaded = setup(t);
    record(loaded, [mine, 8080], [other, 40000], ORIGIN.node);
    record(loaded, [mine, 9090], [other, 40000], ORIGIN.node);
    loaded.maps.setProbePorts(SLOT, new Set([8080]));
    loaded.maps.setProbePorts(SLOT + 1, new Set([9090]));
    t.deepEqual(loaded.steer([mine, 8080], [other, 40000]), { returned: PASS, reasons: ['PASS_PROBE'] });
    t.deepEqual(loaded.steer([mine, 9090], [other, 40000]), { returned: PASS, reasons: ['STEER_INBOUND'] });
  });

  test(`IPv${mine === V4 ? 4 : 6}: without a listener the connection is dropped`, (t) => {
    const { steer } = setup(t, false);
    for (const [local, remote] of [
      [
        [mine, 80],
        [other, 1],
      ],
      [
        [other, 80],
        [mine, 1],
      ],
      [
        [mine, 15008],
        [other, 1],
      ],
    ] as [End, End][]) {
      t.deepEqual(steer(local, remote), { returned: DROP, reasons: ['DROP_NO_LISTENER'] });
    }
  });
}

test('an address that is listed after the first eight would not be found, so enrolment refuses nine', (t) => {
  const eight = Array.from({ length: 8 }, (_, i) => `10.9.0.${i + 1}`);
  const loaded = loadForPod(t, 'steer', SLOT, eight);
  const program = loaded.program('aq_steer');
  const verdict = loaded.verdict(program, NO_DATA, lookupContext(['10.9.0.8', 80], ['203.0.113.1', 1]));
  t.deepEqual(verdict, { returned: DROP, reasons: ['DROP_NO_LISTENER'] });
  t.throws(() => loadForPod(t, 'steer', SLOT, [...eight, '10.9.0.9']), { instanceOf: RangeError });
});

test('UDP is not looked at', (t) => {
  const { steer } = setup(t);
  t.deepEqual(steer([V4, 53], [OTHER[V4] ?? '', 5353], PROTOCOL.udp), { returned: PASS, reasons: [] });
});

test('refusals are reported within the rate; what is beyond it is counted', (t) => {
  const { steer, maps } = setup(t);
  for (let i = 0; i < 3000; i++) steer([V4, 15001], [OTHER[V4] ?? '', 1]);
  const { DROP_AGENT_PORT, EVENT_SUPPRESSED, EVENT_LOST } = maps.verdicts();
  t.is(DROP_AGENT_PORT, 3000);
  t.true(EVENT_SUPPRESSED + EVENT_LOST > 0);
});
