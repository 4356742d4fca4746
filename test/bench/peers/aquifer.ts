import type { Topology } from '../topology.ts';
import { type Peer, PeerUnavailable } from './peer.ts';

export async function startAquifer(_topology: Topology, _directory: string): Promise<Peer> {
  throw new PeerUnavailable('the lab is not there yet');
}
