import { fromBinary } from '@bufbuild/protobuf';
import test from 'ava';
import type { InboundPolicy, PortMatch } from '../../../../controller/core/model.ts';
import { expandRanges } from '../../../../controller/core/ports.ts';
import { AuthorizationSchema } from '../../../../controller/proto/gen/istio/authorization_pb.js';
import { encodeInbound } from '../../../../controller/serve/encode-policy.ts';

const ALL = { first: 1, last: 65_535 };

/** Which ports a policy with these entries matches, judged as the wire says (WDS Match). */
function matched(...to: PortMatch[]): { admits: (port: number) => boolean; listed: number } {
  const policy: InboundPolicy = {
    name: 'p',
    namespace: 'shop',
    scope: 'Namespace',
    action: 'Allow',
    enforcement: 'Enforce',
    direction: 'Inbound',
    appliesToPorts: [],
    rules: [{ from: [], to }],
  };
  const clauses = fromBinary(AuthorizationSchema, encodeInbound(policy)).rules[0]?.clauses ?? [];
  const matches = clauses.flatMap((clause) => clause.matches);
  const admits = (port: number) =>
    clauses.length === 0 ||
    matches.some(({ destinationPorts, notDestinationPorts }) => {
      if (destinationPorts.length + notDestinationPorts.length === 0) return false;
      return (destinationPorts.length === 0 || destinationPorts.includes(port)) && !notDestinationPorts.includes(port);
    });
  return {
    admits,
    listed: matches.reduce((sum, m) => sum + m.destinationPorts.length + m.notDestinationPorts.length, 0),
  };
}

const within = (ranges: PortMatch['ports'], port: number) =>
  ranges.some(({ first, last }) => port >= first && port <= last);

const CASES: readonly PortMatch[] = [
  { ports: [{ first: 80, last: 80 }], notPorts: [] },
  { ports: [{ first: 1000, last: 60_000 }], notPorts: [] },
  { ports: [{ first: 1000, last: 60_000 }], notPorts: [{ first: 2000, last: 2001 }] },
  { ports: [{ first: 80, last: 90 }], notPorts: [{ first: 85, last: 60_000 }] },
  { ports: [], notPorts: [{ first: 22, last: 22 }] },
  { ports: [], notPorts: [{ first: 1000, last: 60_000 }] },
  { ports: [ALL], notPorts: [{ first: 22, last: 22 }] },
  { ports: [ALL], notPorts: [] },
  { ports: [], notPorts: [ALL] },
];

for (const [at, entry] of CASES.entries()) {
  test(`ports keep their meaning on the wire, case ${at}`, (t) => {
    const { admits } = matched(entry);
    for (const port of [1, 22, 80, 84, 85, 90, 999, 1000, 2000, 2001, 2002, 60_000, 60_001, 65_535]) {
      const wanted = (entry.ports.length === 0 || within(entry.ports, port)) && !within(entry.notPorts, port);
      t.is(admits(port), wanted, String(port));
    }
  });
}

test('the shorter of a list and its complement is written, and never port 0', (t) => {
  t.is(matched({ ports: [{ first: 2, last: 65_535 }], notPorts: [] }).listed, 1);
  t.is(matched({ ports: [ALL], notPorts: [] }, { ports: [{ first: 80, last: 80 }], notPorts: [] }).listed, 0);
  t.false(expandRanges([ALL]).includes(0));
});
