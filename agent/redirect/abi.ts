import { createHash } from 'node:crypto';
import type { BpfCollection, BpfMap } from '../../native/index.ts';
import { STRUCTS } from './layout.ts';
import { type MapName, STATE_MAPS } from './objects.ts';

/**
 * What two versions must agree on to share pinned maps: kinds, keys, values and the structs in them. Sizes are left out:
 * a successor takes what is there.
 */
export function abiHash(maps: Readonly<Record<MapName, BpfMap>>, collection: BpfCollection): string {
  const shapes = STATE_MAPS.map((name) => {
    const { type, keySize, valueSize } = maps[name].info;
    return [name, type, keySize, valueSize];
  });
  const structs = Object.keys(STRUCTS).map((name) => [name, collection.structLayout(name)]);
  const enums = ['aq_listener', 'aq_origin_kind', 'aq_pod_flag'].map((name) => [name, collection.enumValues(name)]);
  return createHash('sha256')
    .update(JSON.stringify([shapes, structs, enums]))
    .digest('hex');
}
