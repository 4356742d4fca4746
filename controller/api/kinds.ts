import type { z } from 'zod';
import type { ObjectRef } from '../core/model.ts';
import { deployment, namespace, networkPolicy, node, serviceAccount } from './core-kinds.ts';
import { l4Policy } from './l4-policy.ts';
import { meshConfig } from './mesh-config.ts';
import { pod } from './pod.ts';
import { endpointSlice, service } from './service.ts';

export interface Kind {
  kind: string;
  group: string;
  apiVersion: string;
  namespaced: boolean;
  /** Short name and plural, for the CLI. */
  aliases: readonly string[];
  schema: z.ZodType;
}

function row(apiVersion: string, kind: string, namespaced: boolean, schema: z.ZodType, ...aliases: string[]): Kind {
  const slash = apiVersion.indexOf('/');
  return { kind, group: slash < 0 ? '' : apiVersion.slice(0, slash), apiVersion, namespaced, aliases, schema };
}

/** Every kind that is understood. */
export const KINDS: readonly Kind[] = [
  row('v1', 'Namespace', false, namespace, 'ns', 'namespaces'),
  row('v1', 'ServiceAccount', true, serviceAccount, 'sa', 'serviceaccounts'),
  row('v1', 'Node', false, node, 'no', 'nodes'),
  row('v1', 'Pod', true, pod, 'po', 'pods'),
  row('apps/v1', 'Deployment', true, deployment, 'deploy', 'deployments'),
  row('v1', 'Service', true, service, 'svc', 'services'),
  row('discovery.k8s.io/v1', 'EndpointSlice', true, endpointSlice, 'endpointslices'),
  row('networking.k8s.io/v1', 'NetworkPolicy', true, networkPolicy, 'netpol', 'networkpolicies'),
  row('aquifer.dev/v1alpha1', 'L4Policy', true, l4Policy, 'l4p', 'l4policies'),
  row('aquifer.dev/v1alpha1', 'MeshConfig', false, meshConfig, 'meshconfigs'),
];

const byKind = new Map(KINDS.map((kind) => [kind.kind, kind]));

/** Null for kinds that are not supported. Kinds are unique across groups. */
export function findKind(kind: string): Kind | null {
  return byKind.get(kind) ?? null;
}

/** A validated object; use the schemas' own types after a look at `kind`. `namespace` is filled in where it was left out. */
export interface ApiObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string | undefined;
    labels?: Record<string, string> | null | undefined;
    annotations?: Record<string, string> | null | undefined;
    generation?: number | undefined;
    [key: string]: unknown;
  };
  spec?: unknown;
  status?: unknown;
  [key: string]: unknown;
}

/** The name of a validated object. */
export function refOf(object: ApiObject): ObjectRef {
  const slash = object.apiVersion.indexOf('/');
  return {
    group: slash < 0 ? '' : object.apiVersion.slice(0, slash),
    kind: object.kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
  };
}
