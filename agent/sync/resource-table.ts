import { toBinary } from '@bufbuild/protobuf';
import {
  type DeltaDiscoveryResponse,
  type Resource,
  ResourceSchema,
} from '../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { policyKey } from '../model/policy.ts';
import { type Changes, type Rejection, rejectionKey } from './changes.ts';
import { addressesOf, toAddressResource } from './convert/address.ts';
import { Malformed } from './convert/malformed.ts';
import { toOutboundPolicy } from './convert/outbound.ts';
import { concernsOf, toInboundPolicy } from './convert/policy.ts';
import { TYPE_ADDRESS, TYPE_AUTHORIZATION, TYPE_OUTBOUND } from './types.ts';

/** The last good version of a resource. */
export interface GoodResource {
  typeUrl: string;
  name: string;
  version: string;
  /** As an encoded `Resource`: what is written to disk. */
  encoded: Uint8Array;
  /** What it is in the snapshot. */
  holds: { map: 'workloads' | 'services' | 'policies'; key: string };
}

/** What the controller has sent: converts once, keeps the last good version of each resource, remembers what was refused. */
export class ResourceTable {
  readonly #good = new Map<string, Map<string, GoodResource>>();
  readonly #rejections = new Map<string, Rejection>();

  /** Refused and not replaced by a good version since. */
  get rejections(): ReadonlyMap<string, Rejection> {
    return this.#rejections;
  }

  get size(): number {
    let size = 0;
    for (const byName of this.#good.values()) size += byName.size;
    return size;
  }

  *resources(): Generator<GoodResource> {
    for (const byName of this.#good.values()) yield* byName.values();
  }

  /** Name to version, for `initial_resource_versions`: the good ones, so that refused ones are sent again. */
  versions(typeUrl: string): Record<string, string> {
    const versions: Record<string, string> = Object.create(null);
    for (const [name, { version }] of this.#good.get(typeUrl) ?? []) versions[name] = version;
    return versions;
  }

  /**
   * Enters a response into `changes` and returns what was refused in it. What is good in a response takes effect even
   * if something else in it is not: each resource stands for itself.
   */
  receive(response: DeltaDiscoveryResponse, changes: Changes): Rejection[] {
    const { typeUrl } = response;
    const rejected: Rejection[] = [];
    for (const resource of response.resources) {
      try {
        this.#accept(typeUrl, resource, changes);
      } catch (error) {
        // Whatever goes wrong over one resource refuses that resource; the agent and the other resources live on.
        const reason = error instanceof Malformed ? error.message : `internal error: ${String(error)}`;
        rejected.push(this.#reject(typeUrl, resource, reason, changes));
      }
    }
    for (const name of response.removedResources) this.#remove(typeUrl, name, changes);
    changes.synced.add(typeUrl);
    return rejected;
  }

  #accept(typeUrl: string, resource: Resource, changes: Changes): void {
    const holds = convert(typeUrl, resource, changes);
    const byName = this.#good.getOrInsertComputed(typeUrl, () => new Map());
    const before = byName.get(resource.name)?.holds;
    // Names are checked against contents, so only a kind can differ: a workload and a service with one name.
    if (before !== undefined && before.map !== holds.map) changes[before.map].set(before.key, null);
    const encoded = toBinary(ResourceSchema, resource);
    byName.set(resource.name, { typeUrl, name: resource.name, version: resource.version, encoded, holds });
    this.#forgive(typeUrl, resource.name, changes);
  }

  #reject(typeUrl: string, resource: Resource, reason: string, changes: Changes): Rejection {
    const bytes = resource.resource?.value ?? new Uint8Array();
    const isAddress = typeUrl === TYPE_ADDRESS;
    const known = this.#good.get(typeUrl)?.has(resource.name) === true;
    const rejection: Rejection = {
      typeUrl,
      name: resource.name,
      reason,
      concerns: isAddress ? null : concernsOf(bytes),
      addresses: isAddress && !known ? addressesOf(bytes) : [],
    };
    const key = rejectionKey(typeUrl, resource.name);
    this.#rejections.set(key, rejection);
    changes.rejections.set(key, rejection);
    return rejection;
  }

  #remove(typeUrl: string, name: string, changes: Changes): void {
    this.#forgive(typeUrl, name, changes);
    const byName = this.#good.get(typeUrl);
    const holds = byName?.get(name)?.holds;
    if (holds === undefined) return;
    byName?.delete(name);
    changes[holds.map].set(holds.key, null);
  }

  #forgive(typeUrl: string, name: string, changes: Changes): void {
    const key = rejectionKey(typeUrl, name);
    if (this.#rejections.delete(key)) changes.rejections.set(key, null);
  }
}

function convert(typeUrl: string, resource: Resource, changes: Changes): GoodResource['holds'] {
  const { name, version } = resource;
  if (resource.resource?.typeUrl !== typeUrl)
    throw new Malformed(`it is of type ${resource.resource?.typeUrl ?? 'none'}`);
  const bytes = resource.resource.value;
  switch (typeUrl) {
    case TYPE_ADDRESS: {
      const { kind, value } = toAddressResource(bytes, name);
      if (kind === 'workload') {
        changes.workloads.set(value.uid, value);
        return { map: 'workloads', key: value.uid };
      }
      changes.services.set(value.key, value);
      return { map: 'services', key: value.key };
    }
    case TYPE_AUTHORIZATION:
    case TYPE_OUTBOUND: {
      const make = typeUrl === TYPE_AUTHORIZATION ? toInboundPolicy : toOutboundPolicy;
      const policy = make(bytes, name, version);
      const key = policyKey(policy.direction, policy.name);
      changes.policies.set(key, policy);
      return { map: 'policies', key };
    }
    default:
      throw new Malformed(`type ${typeUrl} is not known to this version`);
  }
}
