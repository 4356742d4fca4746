import type { Service as ApiService } from '../api/service.ts';
import type { Unenforceable } from '../core/compile-policy.ts';
import { qualifiedName } from '../core/compile-policy.ts';
import type { PodEntry } from './pods.ts';
import type { PolicyEntry } from './policies.ts';

/** What is to be said about a valid policy. */
export interface PolicyFindings {
  /** Parts that took their safe effect because L4 cannot judge them. */
  unenforceable: readonly Unenforceable[];
  /** Names that nothing answers to. */
  unresolved: readonly Unenforceable[];
  /** Things that are probably not meant, but are as written. */
  remarks: readonly Unenforceable[];
  /** Nodes that run enrolled pods of the policy. */
  nodes: readonly string[];
  /** Resources it is made of, as named on the wire. */
  resources: readonly { name: string; direction: 'Inbound' | 'Outbound' }[];
}

interface Surroundings {
  pods: Iterable<PodEntry>;
  services: ReadonlyMap<string, ApiService>;
  clusterDomain: string;
}

/** Looks at a policy in its surroundings. */
export function findingsOf(entry: PolicyEntry, { pods, services, clusterDomain }: Surroundings): PolicyFindings {
  const { object, policy } = entry;
  const nodes = new Set<string>();
  let selected = 0;
  let anyEnrolled = false;
  for (const { base } of pods) {
    if (base === null) continue;
    selected++;
    anyEnrolled ||= base.enrolled;
    if (base.enrolled && base.node !== '') nodes.add(base.node);
  }
  const unresolved = missingTargets(entry, services);
  unresolved.push(...missingDestinations(entry, services, clusterDomain));
  const { selector, rules, action } = object.spec;
  if (selector !== undefined && selected === 0) {
    unresolved.push({ field: 'spec.selector', reason: 'selects no pod' });
  }
  if (entry.targets !== null && unresolved.length === 0 && selected === 0) {
    unresolved.push({ field: 'spec.targetRefs', reason: 'no pod belongs to the Services it targets' });
  }
  const remarks: Unenforceable[] = [];
  if (action === 'Deny' && rules.length === 0) {
    remarks.push({ field: 'spec.rules', reason: 'a Deny without rules refuses nothing' });
  }
  if (selected > 0 && !anyEnrolled) {
    remarks.push({ field: 'spec', reason: `none of the ${selected} pods that it selects is enrolled` });
  }
  return {
    unenforceable: entry.unenforceable,
    unresolved,
    remarks,
    nodes: [...nodes].sort(),
    resources: [...entry.resources.values()].map(({ name }) => ({ name, direction: policy.direction })),
  };
}

function missingTargets({ targets }: PolicyEntry, services: ReadonlyMap<string, ApiService>): Unenforceable[] {
  return (targets ?? []).flatMap((target, at) =>
    services.has(target) ? [] : [{ field: `spec.targetRefs[${at}]`, reason: `Service ${target} does not exist` }],
  );
}

function missingDestinations(
  { object, policy }: PolicyEntry,
  services: ReadonlyMap<string, ApiService>,
  clusterDomain: string,
): Unenforceable[] {
  const missing: Unenforceable[] = [];
  const zone = `.svc.${clusterDomain}`;
  for (const [index, { to }] of object.spec.rules.entries()) {
    for (const [at, entry] of (to ?? []).entries()) {
      const path = `spec.rules[${index}].to[${at}]`;
      for (const key of ['services', 'notServices'] as const) {
        for (const [of, name] of (entry[key] ?? []).entries()) {
          const service = qualifiedName(name, policy.namespace);
          if (service.includes('*') || services.has(service)) continue;
          missing.push({ field: `${path}.${key}[${of}]`, reason: `Service ${service} does not exist` });
        }
      }
      for (const key of ['hosts', 'notHosts'] as const) {
        for (const [of, host] of (entry[key] ?? []).entries()) {
          if (host.includes('*') || !host.endsWith(zone)) continue;
          const [name, namespace] = host.slice(0, -zone.length).split('.');
          if (services.has(`${namespace}/${name}`)) continue;
          missing.push({ field: `${path}.${key}[${of}]`, reason: `no Service has the name ${host}` });
        }
      }
    }
  }
  return missing;
}
