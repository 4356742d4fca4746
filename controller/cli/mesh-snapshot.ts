import { create } from '@bufbuild/protobuf';
import { z } from 'zod';
import type { Snapshot } from '../../agent/model/snapshot.ts';
import { noChanges } from '../../agent/sync/changes.ts';
import { ResourceTable } from '../../agent/sync/resource-table.ts';
import { SnapshotStore } from '../../agent/sync/snapshot-store.ts';
import { TYPES } from '../../agent/sync/types.ts';
import { DeltaDiscoveryResponseSchema } from '../proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { CliError } from './errors.ts';
import { callJson, type Peer } from './http.ts';

const resource = z.object({ typeUrl: z.string(), name: z.string(), version: z.string(), value: z.base64() });
/** A resource as agents receive it, its bytes in base64. */
export type EncodedResource = z.infer<typeof resource>;

const SNAPSHOT_REPLY = z.object({ resources: z.array(resource) });

/** What the agent of `node` would judge by, read with the agent's own code. */
export async function fetchSnapshot(controller: Peer, node: string): Promise<Snapshot> {
  const path = `/v1/snapshot?${new URLSearchParams({ node })}`;
  const { body } = await callJson(controller, path, SNAPSHOT_REPLY);
  return snapshotOf(body.resources);
}

/** Throws `CliError` when a resource is one that agents of this version refuse. */
export function snapshotOf(resources: readonly EncodedResource[]): Snapshot {
  const table = new ResourceTable();
  const changes = noChanges();
  for (const typeUrl of TYPES) {
    const ofType = resources.filter((entry) => entry.typeUrl === typeUrl);
    const response = create(DeltaDiscoveryResponseSchema, {
      typeUrl,
      resources: ofType.map(({ name, version, value }) => ({
        name,
        version,
        resource: { typeUrl, value: Buffer.from(value, 'base64') },
      })),
    });
    const [rejected] = table.receive(response, changes);
    if (rejected !== undefined) {
      throw new CliError(`the controller sends a resource that agents refuse: ${rejected.name}: ${rejected.reason}`);
    }
  }
  const store = new SnapshotStore();
  store.apply(changes);
  return store.current;
}
