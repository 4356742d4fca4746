import assert from 'node:assert/strict';
import type { Cidr } from './address.ts';
import { parseCidr } from './address.ts';
import type { L4Destination, L4PolicySpec, L4Source } from './l4-policy.ts';
import type {
  DestinationMatch,
  InboundPolicy,
  OutboundPolicy,
  Policy,
  PortMatch,
  ServiceAccountRef,
  SourceMatch,
} from './model.ts';
import type { PortRange, PortSpec } from './ports.ts';
import { normaliseRanges, parsePorts } from './ports.ts';
import type { StringMatch } from './string-match.ts';
import { parseStringMatch } from './string-match.ts';

/** A part of a policy that L4 cannot judge; the policy took its safe effect instead. */
export interface Unenforceable {
  /** `spec.rules[0].to[0].hosts[1]` */
  field: string;
  reason: string;
}

export interface CompiledPolicy {
  /** `appliesToPorts` is empty here; the index sets it for policies that target a Service. */
  policy: Policy;
  unenforceable: readonly Unenforceable[];
}

export interface PolicyContext {
  namespace: string;
  name: string;
  /** A policy in it without selector or targetRefs concerns the whole mesh. */
  rootNamespace: string;
  clusterDomain: string;
  /** `namespace/name` of a Service that has no address of its own (ExternalName), so that no connection can be told to be its. */
  isExternalName: (service: string) => boolean;
}

/** Adds the policy's own namespace to a bare name. */
export function qualifiedName(text: string, namespace: string): string {
  return text.includes('/') ? text : `${namespace}/${text}`;
}

/**
 * Turns a validated spec into what agents judge.
 *
 * What L4 cannot judge takes its safe effect: in an Allow the entry admits nobody; in a Deny the field is left out of
 * the entry, so that it refuses all that the rest of the entry selects.
 */
export function compilePolicy(spec: L4PolicySpec, context: PolicyContext): CompiledPolicy {
  const head = {
    name: context.name,
    namespace: context.namespace,
    scope: scopeOf(spec, context),
    action: spec.action,
    enforcement: spec.enforcement,
  };
  if (spec.direction === 'Inbound') {
    const rules = spec.rules.map((rule) => ({
      from: (rule.from ?? []).map((source) => compileSource(source, context.namespace)),
      to: (rule.to ?? []).map(compilePortMatch),
    }));
    const policy: InboundPolicy = { ...head, direction: 'Inbound', rules, appliesToPorts: [] };
    return { policy, unenforceable: [] };
  }
  const unenforceable: Unenforceable[] = [];
  const rules: OutboundPolicy['rules'][number][] = [];
  for (const [index, rule] of spec.rules.entries()) {
    const to: DestinationMatch[] = [];
    let anywhere = rule.to === undefined;
    for (const [at, entry] of (rule.to ?? []).entries()) {
      const found = findUnenforceable(entry, `spec.rules[${index}].to[${at}]`, context);
      unenforceable.push(...found.map(({ field, reason }) => ({ field, reason })));
      const safe = safeDestination(entry, found, spec.action);
      if (safe === 'anywhere') anywhere = true;
      else if (safe !== 'nowhere') to.push(compileDestination(safe, context.namespace));
    }
    if (!anywhere && to.length === 0) continue;
    const from = (rule.from ?? []).map((source) => compileSource(source, context.namespace));
    rules.push({ from, to: anywhere ? [] : to });
  }
  return { policy: { ...head, direction: 'Outbound', rules }, unenforceable };
}

function scopeOf(spec: L4PolicySpec, context: PolicyContext): Policy['scope'] {
  if (spec.selector !== undefined || spec.targetRefs !== undefined) return 'Workload';
  return context.namespace === context.rootNamespace ? 'Mesh' : 'Namespace';
}

type NamedField = 'hosts' | 'notHosts' | 'services' | 'notServices';
interface UnenforceableValue extends Unenforceable {
  key: NamedField;
  value: string;
}

function findUnenforceable(entry: L4Destination, path: string, context: PolicyContext): UnenforceableValue[] {
  const found: UnenforceableValue[] = [];
  for (const key of ['hosts', 'notHosts', 'services', 'notServices'] as const) {
    for (const [at, value] of (entry[key] ?? []).entries()) {
      const isHost = key === 'hosts' || key === 'notHosts';
      const reason = isHost ? whyHostUnjudged(value, context) : whyServiceUnjudged(value, context);
      if (reason !== null) found.push({ key, value, field: `${path}.${key}[${at}]`, reason });
    }
  }
  return found;
}

/** A pattern is judged only if every name it can match belongs to a Service of the mesh. */
function whyHostUnjudged(host: string, context: PolicyContext): string | null {
  const zone = `.svc.${context.clusterDomain}`;
  if (!host.endsWith(zone)) return `"${host}" names no Service of the mesh, and L4 sees addresses only`;
  const [name, namespace] = host.slice(0, -zone.length).split('.');
  return whyServiceUnjudged(`${namespace}/${name}`, context);
}

function whyServiceUnjudged(service: string, context: PolicyContext): string | null {
  if (!context.isExternalName(qualifiedName(service, context.namespace))) return null;
  return `Service ${service} is an ExternalName: it has no address that a connection could be told by`;
}

function safeDestination(
  entry: L4Destination,
  found: readonly UnenforceableValue[],
  action: 'Allow' | 'Deny',
): L4Destination | 'anywhere' | 'nowhere' {
  if (found.length === 0) return entry;
  const safe: Partial<Record<keyof L4Destination, readonly (string | number)[] | undefined>> = { ...entry };
  for (const { key, value } of found) {
    const positive = key === 'hosts' || key === 'services';
    // "All but what cannot be told" admits nobody; in a Deny an exception that cannot be told is no exception.
    if (action === 'Allow' && !positive) return 'nowhere';
    safe[key] = positive && action === 'Deny' ? undefined : safe[key]?.filter((other) => other !== value);
    if (safe[key] === undefined || safe[key]?.length === 0) {
      if (action === 'Allow') return 'nowhere';
      delete safe[key];
    }
  }
  return Object.keys(safe).length === 0 ? 'anywhere' : (safe as L4Destination);
}

function compileSource(source: L4Source, namespace: string): SourceMatch {
  return {
    namespaces: strings(source.namespaces),
    notNamespaces: strings(source.notNamespaces),
    principals: strings(source.principals?.map(withoutScheme)),
    notPrincipals: strings(source.notPrincipals?.map(withoutScheme)),
    serviceAccounts: accounts(source.serviceAccounts, namespace),
    notServiceAccounts: accounts(source.notServiceAccounts, namespace),
    ipBlocks: blocks(source.ipBlocks),
    notIpBlocks: blocks(source.notIpBlocks),
  };
}

function compileDestination(to: L4Destination, namespace: string): DestinationMatch {
  return {
    services: (to.services ?? []).map((name) => qualifiedName(name, namespace)),
    notServices: (to.notServices ?? []).map((name) => qualifiedName(name, namespace)),
    namespaces: strings(to.namespaces),
    notNamespaces: strings(to.notNamespaces),
    ipBlocks: blocks(to.ipBlocks),
    notIpBlocks: blocks(to.notIpBlocks),
    hosts: strings(to.hosts),
    notHosts: strings(to.notHosts),
    ...compilePortMatch(to),
  };
}

function compilePortMatch(to: L4Destination): PortMatch {
  return { ports: ranges(to.ports), notPorts: ranges(to.notPorts) };
}

/** Principals are compared without the scheme, as agents and ztunnel do. */
function withoutScheme(principal: string): string {
  return principal.startsWith('spiffe://') ? principal.slice('spiffe://'.length) : principal;
}

function strings(values: readonly string[] | undefined): StringMatch[] {
  return (values ?? []).map((value) => {
    const match = parseStringMatch(value);
    assert(match !== null, `unvalidated match ${value}`);
    return match;
  });
}

function accounts(values: readonly string[] | undefined, namespace: string): ServiceAccountRef[] {
  return (values ?? []).map((value) => {
    const [ns = '', serviceAccount = ''] = qualifiedName(value, namespace).split('/');
    return { namespace: ns, serviceAccount };
  });
}

function blocks(values: readonly string[] | undefined): Cidr[] {
  return (values ?? []).map((value) => {
    const result = parseCidr(value);
    assert(result.ok, `unvalidated block ${value}`);
    return result.cidr;
  });
}

function ranges(values: readonly PortSpec[] | undefined): PortRange[] {
  return normaliseRanges(
    (values ?? []).map((value) => {
      const range = parsePorts(value);
      assert(range !== null, `unvalidated port ${value}`);
      return range;
    }),
  );
}
