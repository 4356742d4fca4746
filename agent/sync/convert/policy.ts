import { AuthorizationExtensionSchema } from '../../../controller/proto/gen/aquifer/v1/extensions_pb.js';
import {
  Action,
  type Authorization,
  AuthorizationSchema,
  Scope,
} from '../../../controller/proto/gen/istio/authorization_pb.js';
import type { InboundPolicy, Policy } from '../../model/policy.ts';
import { decode, ownExtension, requireCapabilities, requireKnownFields } from './extensions.ts';
import { enumOf, Malformed, nonEmpty, portOf } from './malformed.ts';
import { toMatch } from './match.ts';

const SCOPES: Readonly<Record<number, Policy['scope']>> = {
  [Scope.GLOBAL]: 'Mesh',
  [Scope.NAMESPACE]: 'Namespace',
  [Scope.WORKLOAD_SELECTOR]: 'Workload',
};
const ACTIONS: Readonly<Record<number, Policy['action']>> = { [Action.ALLOW]: 'Allow', [Action.DENY]: 'Deny' };

/** An Authorization resource; `version` is the resource's. Throws `Malformed`. */
export function toInboundPolicy(bytes: Uint8Array, resourceName: string, version: string): InboundPolicy {
  const wire = decode(AuthorizationSchema, bytes);
  requireKnownFields(wire, 'authorization');
  const extension = ownExtension(wire.extensions, 'aquifer.dev/authorization', AuthorizationExtensionSchema);
  requireCapabilities(extension?.requiredCapabilities ?? []);
  const head = policyHead(wire, resourceName, version);
  return {
    ...head,
    direction: 'Inbound',
    rules: wire.rules.map((rule, r) =>
      rule.clauses.map((clause, c) =>
        clause.matches.map((match, m) => toMatch(match, head.action, `rules[${r}].clauses[${c}].matches[${m}]`)),
      ),
    ),
    appliesToPorts: (extension?.appliesToPorts ?? []).map((port, i) => portOf(port, `applies_to_ports[${i}]`)),
  };
}

/** What both kinds of policy begin with. */
export function policyHead(
  wire: Pick<Authorization, 'name' | 'namespace' | 'scope' | 'action' | 'dryRun'>,
  resourceName: string,
  version: string,
): Omit<InboundPolicy, 'direction' | 'rules' | 'appliesToPorts'> {
  const name = `${wire.namespace}/${nonEmpty(wire.name, 'name')}`;
  if (name !== resourceName) throw new Malformed(`it holds the policy ${name}`);
  return {
    name,
    namespace: wire.namespace,
    version,
    scope: enumOf(SCOPES, wire.scope, 'scope'),
    action: enumOf(ACTIONS, wire.action, 'action'),
    enforcement: wire.dryRun ? 'Audit' : 'Enforce',
  };
}

/** Whom a policy concerns, of one that was refused for another reason; null when not even that can be read. */
export function concernsOf(bytes: Uint8Array): { scope: Policy['scope']; namespace: string } | null {
  try {
    // The head of both kinds has the same field numbers.
    const wire = decode(AuthorizationSchema, bytes);
    return { scope: enumOf(SCOPES, wire.scope, 'scope'), namespace: wire.namespace };
  } catch {
    return null;
  }
}
