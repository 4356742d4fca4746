import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { TYPE_ADDRESS, TYPE_AUTHORIZATION, TYPE_OUTBOUND } from '../../agent/sync/types.ts';
import {
  AuthorizationExtensionSchema,
  OutboundAuthorizationSchema,
  PolicyRef_Kind,
  ServiceExtensionSchema,
  WorkloadExtensionSchema,
} from '../../controller/proto/gen/aquifer/v1/extensions_pb.js';
import {
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type Resource,
  ResourceSchema,
} from '../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { Action, AuthorizationSchema, Scope } from '../../controller/proto/gen/istio/authorization_pb.js';
import {
  AddressSchema,
  type ExtensionSchema,
  ServiceSchema,
  TunnelProtocol,
  WorkloadSchema,
} from '../../controller/proto/gen/istio/workload_pb.js';
import { addressBytes } from './mesh.ts';

type Extension = MessageInitShape<typeof ExtensionSchema>;

export function extension<D extends DescMessage>(name: string, schema: D, init: MessageInitShape<D>): Extension {
  return { name, config: anyPack(schema, create(schema, init)) };
}

export const workloadExtension = (init: MessageInitShape<typeof WorkloadExtensionSchema>) =>
  extension('aquifer.dev/workload', WorkloadExtensionSchema, init);
export const serviceExtension = (init: MessageInitShape<typeof ServiceExtensionSchema>) =>
  extension('aquifer.dev/service', ServiceExtensionSchema, init);
export const authorizationExtension = (init: MessageInitShape<typeof AuthorizationExtensionSchema>) =>
  extension('aquifer.dev/authorization', AuthorizationExtensionSchema, init);

/** A reference by which a workload needs a policy. */
export function ref(name: string, version: string, kind: PolicyRef_Kind = PolicyRef_Kind.INBOUND) {
  return { name, version, kind };
}

export function resource(typeUrl: string, name: string, value: Uint8Array, version = '1'): Resource {
  return create(ResourceSchema, { name, version, resource: { typeUrl, value } });
}

export function wireWorkload(
  path: string,
  init: MessageInitShape<typeof WorkloadSchema> = {},
  version = '1',
): Resource {
  const [namespace = '', name = ''] = path.split('/');
  const uid = `Kubernetes//Pod/${path}`;
  const plain = { uid, name, namespace, serviceAccount: name, node: 'node-1', tunnelProtocol: TunnelProtocol.HBONE };
  const address = create(AddressSchema, {
    type: { case: 'workload', value: create(WorkloadSchema, { ...plain, ...init }) },
  });
  return resource(TYPE_ADDRESS, uid, toBinary(AddressSchema, address), version);
}

export function wireService(path: string, vip: string, init: MessageInitShape<typeof ServiceSchema> = {}): Resource {
  const [namespace = '', name = ''] = path.split('/');
  const hostname = `${name}.${namespace}.svc.cluster.local`;
  const plain = {
    name,
    namespace,
    hostname,
    addresses: [{ address: addressBytes(vip) }],
    ports: [{ servicePort: 80, targetPort: 8080 }],
  };
  const address = create(AddressSchema, {
    type: { case: 'service', value: create(ServiceSchema, { ...plain, ...init }) },
  });
  return resource(TYPE_ADDRESS, `${namespace}/${hostname}`, toBinary(AddressSchema, address));
}

/** Refuses everybody, unless said otherwise. */
export function wirePolicy(
  path: string,
  init: MessageInitShape<typeof AuthorizationSchema> = {},
  version = '1',
): Resource {
  const [namespace = '', name = ''] = path.split('/');
  const plain = { namespace, name, scope: Scope.NAMESPACE, action: Action.DENY, rules: [{}] };
  const policy = create(AuthorizationSchema, { ...plain, ...init });
  return resource(TYPE_AUTHORIZATION, path, toBinary(AuthorizationSchema, policy), version);
}

export function wireOutbound(
  path: string,
  init: MessageInitShape<typeof OutboundAuthorizationSchema> = {},
  version = '1',
): Resource {
  const [namespace = '', name = ''] = path.split('/');
  const plain = { namespace, name, scope: Scope.NAMESPACE, action: Action.DENY, rules: [{}] };
  const policy = create(OutboundAuthorizationSchema, { ...plain, ...init });
  return resource(TYPE_OUTBOUND, path, toBinary(OutboundAuthorizationSchema, policy), version);
}

export function response(
  typeUrl: string,
  resources: Resource[],
  removedResources: string[] = [],
): DeltaDiscoveryResponse {
  return create(DeltaDiscoveryResponseSchema, { typeUrl, resources, removedResources });
}
