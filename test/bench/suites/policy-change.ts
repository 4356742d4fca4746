import { z } from 'zod';
import { callJson } from '../../../controller/cli/http.ts';
import type { Lab } from '../../support/lab.ts';
import { l4Policy, yaml } from '../../support/manifests.ts';
import { Holder } from '../holder.ts';
import { NAMESPACE } from '../mesh.ts';
import type { Peer } from '../peers/peer.ts';
import { until } from '../processes.ts';
import type { Suite } from '../suite.ts';

const CONNECTIONS = 5000;

const REFUSE = yaml(
  l4Policy(NAMESPACE, 'nobody', { selector: { matchLabels: { app: 'server' } }, action: 'Deny', rules: [{}] }),
);

export const POLICY_CHANGE: Suite = {
  name: 'policy-change',
  title: `a policy that forbids ${CONNECTIONS.toLocaleString('en-US')} live connections, from \`apply\` to their end`,
  measures: [
    { key: 'closed', label: 'closed', digits: 0 },
    { key: 'p50Ms', label: 'p50 ms', digits: 1 },
    { key: 'p99Ms', label: 'p99 ms', digits: 1 },
    { key: 'lastMs', label: 'last ms', digits: 1 },
  ],
  targets: [{ text: 'in force within 100 ms (p99)', row: 'aquifer', measure: 'p99Ms', of: null, atMost: 100 }],
  run: async (bench) => {
    const lab = await bench.lab();
    const connections = Math.round(CONNECTIONS * bench.options.scale);
    return await bench.interleave(
      async (peer) => {
        const holder = await Holder.open(peer, connections);
        const began = performance.timeOrigin + performance.now();
        await write(lab, 'apply');
        const { closed, p50Ms, p99Ms, lastMs } = await holder.finish(true);
        await write(lab, 'delete');
        await until('the server can be reached again', () => reachable(peer));
        return { closed, p50Ms: p50Ms - began, p99Ms: p99Ms - began, lastMs: lastMs - began };
      },
      ['aquifer'],
    );
  },
};

/** As the command line does it, without the time that a process takes to start. */
async function write(lab: Lab, verb: 'apply' | 'delete'): Promise<void> {
  const controller = { name: 'the controller', socketPath: `${lab.directory}/controller/controller.sock` };
  await callJson(controller, `/v1/${verb}?layer=applied`, z.unknown(), { method: 'POST', body: REFUSE });
}

async function reachable(peer: Peer): Promise<boolean> {
  try {
    await (await Holder.open(peer, 1)).finish(false);
    return true;
  } catch {
    return false;
  }
}
