import { z } from 'zod';
import type { L4Rule } from '../core/l4-policy.ts';
import { countPorts, normaliseRanges, parsePorts } from '../core/ports.ts';
import { strictObjectMeta } from './metadata.ts';
import {
  cidr,
  complain,
  dnsLabel,
  hostMatch,
  labels,
  namespaceMatch,
  portSpec,
  principalMatch,
  serviceAccountName,
  serviceMatch,
} from './scalars.ts';

/**
 * Upper bounds, so that one object cannot fill an agent; far above what people write. `wireBytes` keeps a policy well
 * below the 4 MiB that gRPC peers take in one message.
 */
export const POLICY_LIMITS = Object.freeze({
  targetRefs: 16,
  rules: 512,
  entries: 128,
  values: 512,
  wireBytes: 1024 * 1024,
});

const ALLOWED_PORTS_HINT = 'a policy of direction Inbound selects the destination itself: only ports stand in `to`';

function some<T extends z.ZodType>(value: T) {
  return z
    .array(value)
    .min(1, { error: 'must not be empty; leave the field out to say nothing' })
    .max(POLICY_LIMITS.values, { error: `must have at most ${POLICY_LIMITS.values} values` })
    .optional();
}

/** An entry without any field would match nothing, which nobody means. */
function refuseEmpty(entry: object, context: z.RefinementCtx): void {
  // Fields that are not known are gone by now, and told already.
  if (Object.keys(entry).length > 0 || context.issues.length > 0) return;
  complain(context, 'an entry needs at least one field', { hint: 'leave the whole list out to mean "any"' });
}

const source = z
  .strictObject({
    serviceAccounts: some(serviceAccountName),
    notServiceAccounts: some(serviceAccountName),
    namespaces: some(namespaceMatch),
    notNamespaces: some(namespaceMatch),
    principals: some(principalMatch),
    notPrincipals: some(principalMatch),
    ipBlocks: some(cidr),
    notIpBlocks: some(cidr),
  })
  .superRefine(refuseEmpty);

const destination = z
  .strictObject({
    services: some(serviceMatch),
    notServices: some(serviceMatch),
    namespaces: some(namespaceMatch),
    notNamespaces: some(namespaceMatch),
    ipBlocks: some(cidr),
    notIpBlocks: some(cidr),
    hosts: some(hostMatch),
    notHosts: some(hostMatch),
    ports: some(portSpec),
    notPorts: some(portSpec),
  })
  .superRefine(refuseEmpty);

function entries<T extends z.ZodType>(entry: T) {
  return z
    .array(entry)
    .min(1, { error: 'must not be empty; leave the field out to mean "any"' })
    .max(POLICY_LIMITS.entries, { error: `must have at most ${POLICY_LIMITS.entries} entries` })
    .optional();
}

const rule = z.strictObject({ from: entries(source), to: entries(destination) });

const targetRef = z.strictObject({
  group: z.literal('', { error: 'only Services (group "") can be targets so far' }),
  kind: z.literal('Service', { error: 'only Services can be targets so far' }),
  name: dnsLabel,
});

const spec = z
  .strictObject({
    targetRefs: z
      .array(targetRef)
      .min(1, { error: 'must not be empty; leave the field out to select the whole namespace' })
      .max(POLICY_LIMITS.targetRefs, { error: `must have at most ${POLICY_LIMITS.targetRefs} targets` })
      .optional(),
    selector: z.strictObject({ matchLabels: labels }).optional(),
    direction: z.enum(['Inbound', 'Outbound']).default('Inbound'),
    action: z.enum(['Allow', 'Deny']),
    enforcement: z.enum(['Enforce', 'Audit']).default('Enforce'),
    rules: z
      .array(rule)
      .max(POLICY_LIMITS.rules, { error: `must have at most ${POLICY_LIMITS.rules} rules` })
      .default([]),
  })
  .superRefine((value, context) => {
    const bytes = wireBytes(value);
    if (bytes > POLICY_LIMITS.wireBytes) {
      const hint = `at most ${POLICY_LIMITS.wireBytes}; long port ranges count most, split the policy`;
      complain(context, `takes about ${bytes} bytes on the wire`, { path: ['rules'], hint });
    }
    if (value.targetRefs !== undefined && value.selector !== undefined) {
      complain(context, 'targetRefs and selector exclude each other', { path: ['selector'] });
    }
    if (value.selector !== undefined && Object.keys(value.selector.matchLabels).length === 0) {
      const hint = 'leave selector out to select the whole namespace';
      complain(context, 'an empty selector', { path: ['selector', 'matchLabels'], hint });
    }
    if (value.direction === 'Outbound') {
      if (value.targetRefs === undefined) return;
      const hint = 'select the callers by selector, and name Services in `to`';
      complain(context, 'targetRefs have no meaning in an Outbound policy', { path: ['targetRefs'], hint });
      return;
    }
    for (const [index, { to }] of value.rules.entries()) {
      for (const [at, entry] of (to ?? []).entries()) {
        for (const key of Object.keys(entry)) {
          if (key === 'ports' || key === 'notPorts') continue;
          const path = ['rules', index, 'to', at, key];
          if (key === 'hosts' || key === 'notHosts') {
            complain(context, `${key} of an Inbound rule belongs in an L7Policy`, { path });
          } else {
            complain(context, `${key} belongs in a policy of direction Outbound`, { path, hint: ALLOWED_PORTS_HINT });
          }
        }
      }
    }
  });

/** An upper estimate of the encoded size. Inbound ranges are listed port by port, or their complement is. */
function wireBytes({ rules, direction }: { rules: readonly L4Rule[]; direction: string }): number {
  let bytes = JSON.stringify(rules).length;
  if (direction === 'Outbound') return bytes;
  for (const { to } of rules) {
    for (const { ports, notPorts } of to ?? []) {
      for (const list of [ports ?? [], notPorts ?? []]) {
        const ranges = list.map(parsePorts).filter((range) => range !== null);
        const count = countPorts(normaliseRanges(ranges));
        bytes += 3 * Math.min(count, 65_535 - count);
      }
    }
  }
  return bytes;
}

/** Fields of an L7Policy (and of Istio's AuthorizationPolicy) that someone may try in an L4Policy. */
export const L7_FIELDS: ReadonlySet<string> = new Set([
  ...['methods', 'notMethods', 'paths', 'notPaths', 'headers', 'notHeaders', 'grpc', 'when', 'jwt', 'provider'],
  ...['requestPrincipals', 'notRequestPrincipals', 'remoteIpBlocks', 'notRemoteIpBlocks', 'queryParams', 'claims'],
]);

/** aquifer.dev/v1alpha1 L4Policy. */
export const l4Policy = z.strictObject({
  apiVersion: z.literal('aquifer.dev/v1alpha1'),
  kind: z.literal('L4Policy'),
  metadata: strictObjectMeta,
  spec,
  status: z.unknown().optional(),
});

export type L4Policy = z.infer<typeof l4Policy>;
