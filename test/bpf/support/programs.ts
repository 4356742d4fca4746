/** Programs and maps of `bpf/`, loaded but not attached, for BPF_PROG_TEST_RUN. */
import { SharedMaps } from '../../../agent/redirect/maps.ts';
import { MAP_NAMES, type MapName, Objects } from '../../../agent/redirect/objects.ts';
import { type BpfMap, type BpfProgram, loadNative } from '../../../native/index.ts';
import type { Scope } from '../../support/netns.ts';

export const native = loadNative();

export interface Loaded {
  maps: SharedMaps;
  program(name: string): BpfProgram;
  /** What `run` returned, and the reasons that it counted. */
  verdict(program: BpfProgram, data: Uint8Array, context: Uint8Array): { returned: number; reasons: string[] };
}

export function loadForPod(
  t: Scope,
  object: 'guard' | 'steer',
  slot: number,
  addresses: readonly string[],
  sizes: Record<string, number> = {},
): Loaded {
  const objects = new Objects(native, 1000);
  const first = objects.load('connect', { maxEntries: sizes });
  const all = Object.fromEntries(MAP_NAMES.map((name) => [name, first.map(name)])) as Record<MapName, BpfMap>;
  const collection = objects.loadForPod(object, slot, addresses, all);
  const maps = new SharedMaps(all);
  t.teardown(() => {
    collection.close();
    first.close();
    maps.close();
  });
  return {
    maps,
    program: (name) => {
      const program = collection.program(name);
      t.teardown(() => program.close());
      return program;
    },
    verdict: (program, data, context) => {
      const before: Record<string, number> = maps.verdicts();
      const { returned } = program.testRun(data, context, 1);
      const after: Record<string, number> = maps.verdicts();
      return { returned, reasons: Object.keys(after).filter((name) => after[name] !== before[name]) };
    },
  };
}
