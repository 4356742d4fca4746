import {
  OutboundAuthorizationSchema,
  type OutboundDestination,
  type PortRange as WireRange,
} from '../../../controller/proto/gen/aquifer/v1/extensions_pb.js';
import type { DestinationMatch, OutboundPolicy, PortRange, StringMatch } from '../../model/policy.ts';
import { decode, requireCapabilities, requireKnownFields } from './extensions.ts';
import { Malformed, portOf } from './malformed.ts';
import { toBlocks, toMatch, toPorts, toStrings } from './match.ts';
import { policyHead } from './policy.ts';

/** An OutboundAuthorization resource. Throws `Malformed`. */
export function toOutboundPolicy(bytes: Uint8Array, resourceName: string, version: string): OutboundPolicy {
  const wire = decode(OutboundAuthorizationSchema, bytes);
  requireKnownFields(wire, 'outbound');
  requireCapabilities(wire.requiredCapabilities);
  const head = policyHead(wire, resourceName, version);
  return {
    ...head,
    direction: 'Outbound',
    rules: wire.rules.map((rule, r) => ({
      from: rule.from.map((match, i) => toMatch(match, head.action, `rules[${r}].from[${i}]`)),
      to: rule.to.map((destination, i) => toDestination(destination, `rules[${r}].to[${i}]`)),
    })),
  };
}

function toDestination(wire: OutboundDestination, path: string): DestinationMatch {
  return {
    services: toServices(wire.services, `${path}.services`),
    notServices: toServices(wire.notServices, `${path}.not_services`),
    namespaces: toStrings(wire.namespaces, `${path}.namespaces`),
    notNamespaces: toStrings(wire.notNamespaces, `${path}.not_namespaces`),
    ipBlocks: toBlocks(wire.ipBlocks, `${path}.ip_blocks`),
    notIpBlocks: toBlocks(wire.notIpBlocks, `${path}.not_ip_blocks`),
    hosts: toStrings(wire.hosts, `${path}.hosts`),
    notHosts: toStrings(wire.notHosts, `${path}.not_hosts`),
    ports: [...toPorts(wire.ports, `${path}.ports`), ...toRanges(wire.portRanges, `${path}.port_ranges`)],
    notPorts: [
      ...toPorts(wire.notPorts, `${path}.not_ports`),
      ...toRanges(wire.notPortRanges, `${path}.not_port_ranges`),
    ],
  };
}

function toRanges(wire: readonly WireRange[], path: string): PortRange[] {
  return wire.map(({ first, last }, i) => {
    portOf(first, `${path}[${i}].first`);
    portOf(last, `${path}[${i}].last`);
    if (first > last) throw new Malformed(`${path}[${i}]: ${first} is above ${last}`);
    return { first, last };
  });
}

function toServices(wire: readonly string[], path: string): DestinationMatch['services'] {
  return wire.map((text, i) => {
    const [namespace, name, ...more] = text.split('/');
    if (!namespace || !name || more.length > 0) throw new Malformed(`${path}[${i}]: "${text}" is not namespace/name`);
    return { namespace: toPattern(namespace, `${path}[${i}]`), name: toPattern(name, `${path}[${i}]`) };
  });
}

/** `exact`, `prefix*`, `*suffix` or `*`. */
function toPattern(text: string, path: string): StringMatch {
  if (text === '*') return { kind: 'presence' };
  const star = text.indexOf('*');
  if (star < 0) return { kind: 'exact', value: text };
  if (star === text.length - 1) return { kind: 'prefix', value: text.slice(0, -1) };
  if (star === 0 && !text.includes('*', 1)) return { kind: 'suffix', value: text.slice(1) };
  throw new Malformed(`${path}: "${text}" has "*" elsewhere than at one end`);
}
