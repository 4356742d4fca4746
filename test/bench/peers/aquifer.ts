import type { Lab } from '../../support/lab.ts';
import { PROXY_CPU } from '../load.ts';
import { agentPids, peerOf, pin } from '../mesh.ts';
import type { Peer } from './peer.ts';

/** Our agent: client and server are enrolled pods of one node; policies, access log and metrics are on. */
export async function startAquifer(lab: Lab): Promise<Peer> {
  const pids = agentPids(lab);
  await pin(pids, PROXY_CPU);
  return await peerOf(lab, 'aquifer', pids);
}
