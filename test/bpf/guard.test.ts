import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { encodeTuple, encodeU32, ORIGIN } from '../../agent/redirect/layout.ts';
import { FLAG, frame, type PacketParts, PROTOCOL, packetContext } from './support/packets.ts';
import { loadForPod } from './support/programs.ts';

const SLOT = 3;
const LO = 1;
/** Any interface but lo; the program only compares the number. */
const WIRE = readdirSync('/sys/class/net')
  .map((name) => Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8')))
  .find((index) => index !== LO) as number;
const DROP = 0;
const PASS = 1;
const POD = ['10.1.0.5', 8080] as const;
const PEER = ['203.0.113.9', 40000] as const;
const POD6 = ['fd01::5', 8080] as const;
const PEER6 = ['2001:db8::9', 40000] as const;
const TUPLE = encodeTuple({ local: { address: POD[0], port: POD[1] }, remote: { address: PEER[0], port: PEER[1] } });

function setup(t: { teardown(undo: () => void): void }) {
  const loaded = loadForPod(t, 'guard', SLOT, []);
  const programs = { egress: loaded.program('aq_guard_egress'), ingress: loaded.program('aq_guard_ingress') };
  const guard = (direction: 'egress' | 'ingress', ifindex: number, parts: PacketParts) =>
    loaded.verdict(programs[direction], frame(parts), packetContext(ifindex));
  const record = (kind: number): void => {
    const value = new Uint8Array(16);
    value.set(encodeU32(kind));
    loaded.maps.all.originated.update(TUPLE, value, 'any');
  };
  return { ...loaded, guard, record };
}

const out = (parts: Partial<PacketParts> = {}): PacketParts => ({ from: POD, to: PEER, ...parts });
const out6 = (parts: Partial<PacketParts> = {}): PacketParts => ({ from: POD6, to: PEER6, ...parts });
const into = (parts: Partial<PacketParts> = {}): PacketParts => ({ from: PEER, to: POD, ...parts });

const CASES: [string, 'egress' | 'ingress', number, PacketParts, number, string][] = [
  ['TCP over lo', 'egress', LO, out(), PASS, 'PACKET_LOOPBACK'],
  ['TCP over lo, IPv6', 'egress', LO, out6(), PASS, 'PACKET_LOOPBACK'],
  ['TCP in over lo', 'ingress', LO, into(), PASS, 'PACKET_LOOPBACK'],
  ['a SYN to the wire', 'egress', WIRE, out(), DROP, 'DROP_UNCAPTURED_EGRESS'],
  ['a SYN to the wire, IPv6', 'egress', WIRE, out6(), DROP, 'DROP_UNCAPTURED_EGRESS'],
  ['data to the wire', 'egress', WIRE, out({ flags: FLAG.ack }), DROP, 'DROP_UNCAPTURED_EGRESS'],
  ['a SYN from the wire', 'ingress', WIRE, into(), DROP, 'DROP_UNCAPTURED_INGRESS'],
  ['a RST from the wire', 'ingress', WIRE, into({ flags: FLAG.rst }), DROP, 'DROP_UNCAPTURED_INGRESS'],
  ['a SYN from itself by the wire', 'ingress', WIRE, { from: POD, to: POD }, DROP, 'DROP_UNCAPTURED_INGRESS'],
  ['UDP', 'egress', WIRE, out({ protocol: PROTOCOL.udp }), PASS, 'PACKET_DATAGRAM'],
  ['UDP in', 'ingress', WIRE, into({ protocol: PROTOCOL.udp }), PASS, 'PACKET_DATAGRAM'],
  ['ICMP', 'egress', WIRE, out({ protocol: PROTOCOL.icmp }), PASS, 'PACKET_DATAGRAM'],
  ['ICMPv6', 'egress', WIRE, out6({ protocol: PROTOCOL.icmp6 }), PASS, 'PACKET_DATAGRAM'],
  ['SCTP', 'egress', WIRE, out({ protocol: PROTOCOL.sctp }), DROP, 'DROP_PROTOCOL'],
  ['SCTP over lo', 'egress', LO, out({ protocol: PROTOCOL.sctp }), DROP, 'DROP_PROTOCOL'],
  ['IP in IP', 'egress', WIRE, out({ protocol: PROTOCOL.ipip }), DROP, 'DROP_PROTOCOL'],
  ['IGMP', 'egress', WIRE, out({ protocol: PROTOCOL.igmp }), DROP, 'DROP_PROTOCOL'],
  ['the first fragment of TCP', 'egress', WIRE, out({ fragment: { offset: 0, more: true } }), DROP, 'DROP_MALFORMED'],
  ['a later fragment of TCP', 'egress', WIRE, out({ fragment: { offset: 3, more: false } }), DROP, 'DROP_MALFORMED'],
  ['a TCP fragment over lo', 'egress', LO, out({ fragment: { offset: 0, more: true } }), DROP, 'DROP_MALFORMED'],
  [
    'a fragment of UDP',
    'egress',
    WIRE,
    out({ protocol: PROTOCOL.udp, fragment: { offset: 3, more: false } }),
    PASS,
    'PACKET_DATAGRAM',
  ],
  [
    'TCP behind IPv6 options',
    'egress',
    WIRE,
    out6({ extensions: [PROTOCOL.hopopts, 60, 43] }),
    DROP,
    'DROP_UNCAPTURED_EGRESS',
  ],
  ['TCP behind IPv6 options over lo', 'egress', LO, out6({ extensions: [60] }), PASS, 'PACKET_LOOPBACK'],
  [
    'UDP behind IPv6 options',
    'egress',
    WIRE,
    out6({ extensions: [60], protocol: PROTOCOL.udp }),
    PASS,
    'PACKET_DATAGRAM',
  ],
  [
    'an IPv6 first fragment of TCP',
    'egress',
    WIRE,
    out6({ fragment: { offset: 0, more: true } }),
    DROP,
    'DROP_MALFORMED',
  ],
  [
    'an IPv6 later fragment of TCP',
    'egress',
    WIRE,
    out6({ fragment: { offset: 3, more: false } }),
    DROP,
    'DROP_MALFORMED',
  ],
  [
    'an IPv6 fragment whose protocol is an option',
    'egress',
    WIRE,
    out6({ fragment: { offset: 3, more: false }, protocol: 60 }),
    DROP,
    'DROP_PROTOCOL',
  ],
  ['no end of IPv6 options', 'egress', WIRE, out6({ extensions: Array(8).fill(60) }), DROP, 'DROP_MALFORMED'],
  ['AH', 'egress', WIRE, out6({ protocol: 51 }), DROP, 'DROP_PROTOCOL'],
  ['a cut TCP header', 'egress', WIRE, out({ truncate: 30 }), DROP, 'DROP_MALFORMED'],
];

for (const [name, direction, ifindex, parts, returned, reason] of CASES) {
  test(`${direction}: ${name} is ${returned === PASS ? 'passed' : 'dropped'}`, (t) => {
    const { guard } = setup(t);
    const verdict = guard(direction, ifindex, parts);
    t.true(verdict.reasons.includes(reason), verdict.reasons.join());
    // A test run of cgroup_skb returns the program's own verdict.
    t.is(verdict.returned, returned);
  });
}

test('a connection of the agent passes both ways by its tuple, but the pod never opens it', (t) => {
  const { guard, record } = setup(t);
  record(ORIGIN.agent);
  t.is(guard('ingress', WIRE, into()).returned, PASS);
  t.is(guard('egress', WIRE, out({ flags: FLAG.syn | FLAG.ack })).returned, PASS);
  t.is(guard('egress', WIRE, out()).returned, DROP);
  t.is(guard('ingress', WIRE, into({ from: ['203.0.113.9', 40001] })).returned, DROP);
});

test('a probe passes to a declared port only', (t) => {
  const { guard, record, maps } = setup(t);
  record(ORIGIN.node);
  t.is(guard('ingress', WIRE, into()).returned, DROP);
  maps.setProbePorts(SLOT, new Set([8080]));
  t.is(guard('ingress', WIRE, into()).returned, PASS);
  t.is(guard('egress', WIRE, out({ flags: FLAG.syn | FLAG.ack })).returned, PASS);
});

test('an older connection passes for its own pod, without a new SYN', (t) => {
  const { guard, maps } = setup(t);
  const tuple = { local: { address: POD[0], port: POD[1] }, remote: { address: PEER[0], port: PEER[1] } };
  maps.setOlder(tuple, SLOT);
  t.is(guard('egress', WIRE, out({ flags: FLAG.ack })).returned, PASS);
  t.is(guard('ingress', WIRE, into({ flags: FLAG.ack })).returned, PASS);
  t.is(guard('egress', WIRE, out()).returned, DROP);
  maps.setOlder(tuple, SLOT + 1);
  t.is(guard('egress', WIRE, out({ flags: FLAG.ack })).returned, DROP);
});
