import { SERVER_PORTS } from '../load.ts';
import { SERVER_ADDRESS, type Topology } from '../topology.ts';
import type { Peer } from './peer.ts';

/** No mesh and no proxy: the way of the packets alone. */
export async function startNone(topology: Topology): Promise<Peer> {
  return {
    name: 'none',
    address: SERVER_ADDRESS,
    ports: SERVER_PORTS,
    pids: [],
    client: (command) => topology.inside('client', command),
    stop: async () => {},
  };
}
