import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import type { Cidr } from '../core/address.ts';
import type {
  DestinationMatch,
  InboundPolicy,
  OutboundPolicy,
  Policy,
  PortMatch,
  ServiceAccountRef,
  SourceMatch,
} from '../core/model.ts';
import { complementRanges, countPorts, expandRanges, normaliseRanges, type PortRange } from '../core/ports.ts';
import type { StringMatch as CoreMatch } from '../core/string-match.ts';
import {
  AuthorizationExtensionSchema,
  OutboundAuthorizationSchema,
  type OutboundDestinationSchema,
} from '../proto/gen/aquifer/v1/extensions_pb.js';
import {
  Action,
  type AddressSchema,
  AuthorizationSchema,
  type MatchSchema,
  Scope,
  type ServiceAccountMatchSchema,
  type StringMatchSchema,
} from '../proto/gen/istio/authorization_pb.js';

const SCOPES: Readonly<Record<Policy['scope'], Scope>> = {
  Mesh: Scope.GLOBAL,
  Namespace: Scope.NAMESPACE,
  Workload: Scope.WORKLOAD_SELECTOR,
};

function head(policy: Policy) {
  return {
    name: policy.name,
    namespace: policy.namespace,
    scope: SCOPES[policy.scope],
    action: policy.action === 'Allow' ? Action.ALLOW : Action.DENY,
    dryRun: policy.enforcement === 'Audit',
  };
}

/** `istio.security.Authorization`: a rule's `from` and `to` are one clause each. */
export function encodeInbound(policy: InboundPolicy): Uint8Array {
  const rules = policy.rules.map(({ from, to }) => ({
    clauses: [from.map(sourceMessage), portMessages(to)]
      .filter((matches) => matches.length > 0)
      .map((matches) => ({ matches })),
  }));
  const { appliesToPorts } = policy;
  const extension = create(AuthorizationExtensionSchema, { appliesToPorts: [...appliesToPorts] });
  const config = { name: 'aquifer.dev/authorization', config: anyPack(AuthorizationExtensionSchema, extension) };
  const extensions = appliesToPorts.length === 0 ? [] : [config];
  return toBinary(AuthorizationSchema, create(AuthorizationSchema, { ...head(policy), rules, extensions }));
}

/** `aquifer.v1.OutboundAuthorization`. */
export function encodeOutbound(policy: OutboundPolicy): Uint8Array {
  const rules = policy.rules.map(({ from, to }) => ({
    from: from.map(sourceMessage),
    to: to.map(destinationMessage),
  }));
  return toBinary(OutboundAuthorizationSchema, create(OutboundAuthorizationSchema, { ...head(policy), rules }));
}

function sourceMessage(match: SourceMatch): MessageInitShape<typeof MatchSchema> {
  return {
    namespaces: match.namespaces.map(stringMessage),
    notNamespaces: match.notNamespaces.map(stringMessage),
    principals: match.principals.map(stringMessage),
    notPrincipals: match.notPrincipals.map(stringMessage),
    serviceAccounts: match.serviceAccounts.map(accountMessage),
    notServiceAccounts: match.notServiceAccounts.map(accountMessage),
    sourceIps: match.ipBlocks.map(blockMessage),
    notSourceIps: match.notIpBlocks.map(blockMessage),
  };
}

/** Every port of a TCP connection. */
const ALL_PORTS = 65_535;
const HALF = 32_768;

/**
 * The ports of a rule as the matches of one clause. Ranges are listed port by port, or their complement under "not"
 * where that is shorter; the two lists are "in one and in none of the other", so complements can be moved between
 * them only when one is empty. No match: any port (an entry without ports is refused by the API).
 */
function portMessages(to: readonly PortMatch[]): MessageInitShape<typeof MatchSchema>[] {
  const entries = to.map(({ ports, notPorts }) => {
    const all = countPorts(ports) === ALL_PORTS;
    return { ports: all ? [] : ports, notPorts, any: all && notPorts.length === 0 };
  });
  return entries.some(({ any }) => any) ? [] : entries.map(portMessage);
}

function portMessage({ ports, notPorts }: PortMatch): MessageInitShape<typeof MatchSchema> {
  if (ports.length === 0) {
    if (countPorts(notPorts) <= HALF) return { notDestinationPorts: expandRanges(notPorts) };
    // All ports excluded leaves none to list: a match without fields, which never matches.
    return { destinationPorts: expandRanges(complementRanges(notPorts)) };
  }
  if (countPorts(ports) <= HALF) {
    return { destinationPorts: expandRanges(ports), notDestinationPorts: expandRanges(notPorts) };
  }
  return { notDestinationPorts: expandRanges(normaliseRanges([...complementRanges(ports), ...notPorts])) };
}

function destinationMessage(match: DestinationMatch): MessageInitShape<typeof OutboundDestinationSchema> {
  return {
    services: [...match.services],
    notServices: [...match.notServices],
    namespaces: match.namespaces.map(stringMessage),
    notNamespaces: match.notNamespaces.map(stringMessage),
    ipBlocks: match.ipBlocks.map(blockMessage),
    notIpBlocks: match.notIpBlocks.map(blockMessage),
    hosts: match.hosts.map(stringMessage),
    notHosts: match.notHosts.map(stringMessage),
    ports: match.ports.filter(isSingle).map(({ first }) => first),
    notPorts: match.notPorts.filter(isSingle).map(({ first }) => first),
    portRanges: match.ports.filter((range) => !isSingle(range)),
    notPortRanges: match.notPorts.filter((range) => !isSingle(range)),
  };
}

function isSingle({ first, last }: PortRange): boolean {
  return first === last;
}

function stringMessage(match: CoreMatch): MessageInitShape<typeof StringMatchSchema> {
  if (match.kind === 'presence') return { matchType: { case: 'presence', value: {} } };
  return { matchType: { case: match.kind, value: match.value } };
}

function accountMessage(ref: ServiceAccountRef): MessageInitShape<typeof ServiceAccountMatchSchema> {
  return { namespace: ref.namespace, serviceAccount: ref.serviceAccount };
}

function blockMessage({ bytes, length }: Cidr): MessageInitShape<typeof AddressSchema> {
  return { address: Uint8Array.from(bytes), length };
}
