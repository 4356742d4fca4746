import { Lab } from '../../support/lab.ts';
import { PROXY_CPU } from '../load.ts';
import { agentPids, manifests, NODE, peerOf, pin } from '../mesh.ts';
import { until } from '../processes.ts';
import { type Peer, PeerUnavailable } from './peer.ts';

/** Our agent in a lab: client and server are enrolled pods of one node; policies, access log and metrics are on. */
export async function startAquifer(): Promise<Peer> {
  let lab: Lab;
  try {
    lab = await Lab.up('bench', manifests(), ['--nodes', '1']);
  } catch (cause) {
    throw new PeerUnavailable(`the lab did not come up: ${(cause as Error).message}`, { cause });
  }
  try {
    await until('both pods are enrolled', async () => {
      const pods = await lab.agent<{ state: string }[]>(NODE, '/pods');
      return pods.length === 2 && pods.every(({ state }) => state === 'enrolled');
    });
    const pids = agentPids(lab);
    await pin(pids, PROXY_CPU);
    return { ...(await peerOf(lab, 'aquifer', pids)), stop: () => lab.down() };
  } catch (error) {
    await lab.down();
    throw error;
  }
}
