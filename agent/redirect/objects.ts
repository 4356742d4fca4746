import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { BpfCollection, BpfMap, CollectionOptions, Native } from '../../native/index.ts';
import { MeshError } from '../model/errors.ts';
import { encodeAddress, encodeU32, LIMIT } from './layout.ts';

export type ObjectName = 'connect' | 'guard' | 'steer' | 'sockops';

/** Maps that hold the state of enrolled pods: a successor must be able to go on with them. */
export const STATE_MAPS = Object.freeze([
  'enrolled',
  'agent_cgroups',
  'asked',
  'admitted',
  'rewritten',
  'originated',
  'older',
  'probe_ports',
  'listeners',
] as const);
/** Maps that only tell: made anew when a successor wants another size. */
export const TELLING_MAPS = Object.freeze(['verdicts', 'events', 'event_rate'] as const);
export const MAP_NAMES = Object.freeze([...STATE_MAPS, ...TELLING_MAPS] as const);
export type MapName = (typeof MAP_NAMES)[number];

const BUILD = new URL('../../bpf/build/', import.meta.url);

/** Compiled BPF objects, read once. Throws `MESH_BPF_LOAD` when they have not been built or the kernel refuses them. */
export class Objects {
  readonly #native: Pick<Native, 'loadCollection'>;
  readonly #eventsPerSecond: number;
  readonly #elf = new Map<ObjectName, Uint8Array>();

  constructor(native: Pick<Native, 'loadCollection'>, eventsPerSecond: number) {
    this.#native = native;
    this.#eventsPerSecond = eventsPerSecond;
  }

  load(name: ObjectName, options: Partial<Omit<CollectionOptions, 'name' | 'programs'>>): BpfCollection {
    const constants = { aq_events_per_second: encodeU32(this.#eventsPerSecond), ...options.constants };
    try {
      return this.#native.loadCollection(this.#bytes(name), {
        name: `aq_${name}`,
        constants,
        reuseMaps: options.reuseMaps ?? {},
        maxEntries: options.maxEntries ?? {},
        programs: null,
      });
    } catch (cause) {
      if (cause instanceof MeshError) throw cause;
      const { message, verifierLog } = cause as { message: string; verifierLog?: string };
      const log = verifierLog === undefined ? '' : `\n${verifierLog}`;
      throw new MeshError('MESH_BPF_LOAD', `the kernel refused bpf/${name}: ${message}${log}`, {
        cause,
        hint: 'run `aquifer check --node`: it names the missing feature or capability',
      });
    }
  }

  /** guard and steer come in one instance a pod. */
  loadForPod(
    name: 'guard' | 'steer',
    slot: number,
    addresses: readonly string[],
    maps: Record<string, BpfMap>,
  ): BpfCollection {
    const constants: Record<string, Uint8Array> = { aq_slot: encodeU32(slot) };
    if (name === 'steer') {
      const table = new Uint8Array(LIMIT.addresses * 16);
      for (const [i, address] of addresses.entries()) table.set(encodeAddress(address), i * 16);
      constants.aq_address_count = encodeU32(addresses.length);
      constants.aq_addresses = table;
    }
    return this.load(name, { constants, reuseMaps: maps });
  }

  /** What `loadForPod` would load, by its content. */
  fingerprint(slot: number, addresses: readonly string[]): string {
    const hash = createHash('sha256').update(this.#bytes('guard')).update(this.#bytes('steer'));
    return hash.update(JSON.stringify([slot, addresses, this.#eventsPerSecond])).digest('hex');
  }

  #bytes(name: ObjectName): Uint8Array {
    const known = this.#elf.get(name);
    if (known !== undefined) return known;
    const path = fileURLToPath(new URL(`${name}.bpf.o`, BUILD));
    try {
      const bytes = readFileSync(path);
      this.#elf.set(name, bytes);
      return bytes;
    } catch (cause) {
      throw new MeshError('MESH_BPF_LOAD', `${path} cannot be read`, { cause, hint: 'run `make bpf`' });
    }
  }
}
