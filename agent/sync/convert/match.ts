import type {
  Address as WireBlock,
  Match as WireMatch,
  StringMatch as WireString,
} from '../../../controller/proto/gen/istio/authorization_pb.js';
import { cidrFromBytes } from '../../model/cidr.ts';
import { withoutScheme } from '../../model/identity.ts';
import type { Cidr, Match, Policy, PortRange, StringMatch } from '../../model/policy.ts';
import { refuseOwnExtensions } from './extensions.ts';
import { Malformed, nonEmpty, portOf } from './malformed.ts';

const NEVER: Match = Object.freeze({
  namespaces: [],
  notNamespaces: [],
  principals: [],
  notPrincipals: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
});
const ALWAYS: Match = Object.freeze({ ...NEVER, destinationPorts: [{ first: 0, last: 65_535 }] });

/**
 * A match with an extension of somebody else's cannot be judged as it was meant. It takes its safe effect: in an Allow
 * it admits nobody, in a Deny it refuses all that the fields we do know select.
 */
export function toMatch(wire: WireMatch, action: Policy['action'], path: string): Match {
  refuseOwnExtensions(wire.extensions);
  const match = toKnownMatch(wire, path);
  if (wire.extensions.length === 0) return match;
  if (action === 'Allow') return NEVER;
  return Object.values(match).every((values) => values.length === 0) ? ALWAYS : match;
}

function toKnownMatch(wire: WireMatch, path: string): Match {
  const accounts = (refs: WireMatch['serviceAccounts'], field: string) =>
    refs.map((ref, i) => ({
      namespace: nonEmpty(ref.namespace, `${path}.${field}[${i}].namespace`),
      serviceAccount: nonEmpty(ref.serviceAccount, `${path}.${field}[${i}].serviceAccount`),
    }));
  return {
    namespaces: toStrings(wire.namespaces, `${path}.namespaces`),
    notNamespaces: toStrings(wire.notNamespaces, `${path}.not_namespaces`),
    principals: toStrings(wire.principals, `${path}.principals`).map(toPrincipal),
    notPrincipals: toStrings(wire.notPrincipals, `${path}.not_principals`).map(toPrincipal),
    serviceAccounts: accounts(wire.serviceAccounts, 'service_accounts'),
    notServiceAccounts: accounts(wire.notServiceAccounts, 'not_service_accounts'),
    sourceIps: toBlocks(wire.sourceIps, `${path}.source_ips`),
    notSourceIps: toBlocks(wire.notSourceIps, `${path}.not_source_ips`),
    destinationIps: toBlocks(wire.destinationIps, `${path}.destination_ips`),
    notDestinationIps: toBlocks(wire.notDestinationIps, `${path}.not_destination_ips`),
    destinationPorts: toPorts(wire.destinationPorts, `${path}.destination_ports`),
    notDestinationPorts: toPorts(wire.notDestinationPorts, `${path}.not_destination_ports`),
  };
}

export function toStrings(wire: readonly WireString[], path: string): StringMatch[] {
  return wire.map(({ matchType }, i) => {
    if (matchType.case === undefined) throw new Malformed(`${path}[${i}]: no match type`);
    if (matchType.case === 'presence') return { kind: 'presence' };
    return { kind: matchType.case, value: matchType.value };
  });
}

export function toBlocks(wire: readonly WireBlock[], path: string): Cidr[] {
  return wire.map(({ address, length }, i) => {
    const cidr = cidrFromBytes(address, length);
    if (cidr === null) throw new Malformed(`${path}[${i}]: ${address.length} bytes with prefix length ${length}`);
    return cidr;
  });
}

/** Neighbouring ports become one range, as they were before the wire took them apart. */
export function toPorts(wire: readonly number[], path: string): PortRange[] {
  const ranges: PortRange[] = [];
  const sorted = wire.map((port, i) => portOf(port, `${path}[${i}]`)).sort((a, b) => a - b);
  for (const port of sorted) {
    const last = ranges.at(-1);
    if (last !== undefined && port <= last.last + 1) last.last = port;
    else ranges.push({ first: port, last: port });
  }
  return ranges;
}

/** Principals are compared without the scheme; ztunnel compares what a policy wrote with it, and never finds it. */
function toPrincipal(match: StringMatch): StringMatch {
  if (match.kind === 'presence' || withoutScheme(match.value) === match.value) return match;
  const value = withoutScheme(match.value);
  return match.kind === 'prefix' ? { kind: 'prefix', value } : { kind: 'exact', value };
}
