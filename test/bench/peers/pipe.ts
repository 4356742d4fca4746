import { join } from 'node:path';
import { type Ports, SERVER_PORTS } from '../load.ts';
import { NODE_ADDRESS, SERVER_ADDRESS, type Topology } from '../topology.ts';
import { startNodeProxy } from './node-proxy.ts';
import type { Peer } from './peer.ts';

const PORTS: Ports = { echo: 7301, sink: 7302, once: 7303 };

/** Node's own streams, `a.pipe(b)` both ways: no policy, no log. */
export async function startPipe(topology: Topology, directory: string): Promise<Peer> {
  const pairs = (Object.keys(PORTS) as (keyof Ports)[]).map((name) => `${PORTS[name]}:${SERVER_PORTS[name]}`);
  const program = join(import.meta.dirname, 'pipe-proxy.ts');
  const command = [process.execPath, program, NODE_ADDRESS, SERVER_ADDRESS, ...pairs];
  return await startNodeProxy(topology, 'pipe', PORTS, command, directory);
}
