import { setTimeout } from 'node:timers/promises';
import { Holder } from '../holder.ts';
import type { Peer } from '../peers/peer.ts';
import type { Suite } from '../suite.ts';
import { descriptorLimit, residentBytes } from '../usage.ts';

// A proxy has two descriptors for each connection.
const MOST = Math.min(10_000, Math.floor(descriptorLimit() / 2) - 500);

export const IDLE_MEMORY: Suite = {
  name: 'idle-memory',
  title: `memory of ${MOST.toLocaleString('en-US')} idle connections`,
  measures: [
    { key: 'bytesPerConnection', label: 'bytes/connection', digits: 0, ratio: true },
    { key: 'residentMb', label: 'resident MB with them', digits: 1 },
    { key: 'baseMb', label: 'resident MB before the first', digits: 1 },
  ],
  targets: [
    { text: '≤ 12 KB per idle connection', row: 'aquifer', measure: 'bytesPerConnection', of: null, atMost: 12 * 1024 },
  ],
  run: async (bench) => {
    const connections = Math.round(MOST * bench.options.scale);
    // Memory is not given back to the kernel: only what a proxy had before it ever held as many can be the base.
    const base = new Map<string, number>();
    return await bench.interleave(async (peer) => {
      if (peer.pids.length === 0) return {};
      if (!base.has(peer.name)) {
        await held(peer, Math.ceil(connections / 20));
        base.set(peer.name, residentBytes(peer.pids));
      }
      const before = base.get(peer.name) ?? 0;
      const after = await held(peer, connections);
      return { bytesPerConnection: (after - before) / connections, residentMb: after / 1e6, baseMb: before / 1e6 };
    });
  },
};

/** Resident memory while so many connections are open and have been idle for a while. */
async function held(peer: Peer, connections: number): Promise<number> {
  const holder = await Holder.open(peer, connections);
  try {
    await setTimeout(2000);
    return residentBytes(peer.pids);
  } finally {
    await holder.finish(false);
    await setTimeout(1000);
  }
}
