import { setTimeout } from 'node:timers/promises';
import { Lab } from '../../support/lab.ts';
import { ambient, pod, yaml } from '../../support/manifests.ts';
import { agentPids, NAMESPACE, NODE, podsOf } from '../mesh.ts';
import { until } from '../processes.ts';
import type { Suite } from '../suite.ts';
import { residentBytes } from '../usage.ts';

const PODS = 100;

export const PODS_MEMORY: Suite = {
  name: 'pods-memory',
  title: `resident memory of an agent with ${PODS} enrolled pods`,
  measures: [
    { key: 'pods', label: 'pods', digits: 0 },
    { key: 'residentMb', label: 'resident MB', digits: 1 },
  ],
  targets: [{ text: `≤ 120 MB with ${PODS} pods`, row: 'aquifer', measure: 'residentMb', of: null, atMost: 120 }],
  run: async (bench) => {
    const wanted = Math.max(1, Math.round(PODS * bench.options.scale));
    const pods = Array.from({ length: wanted }, (_, index) => pod(NAMESPACE, `pod-${index}`, { node: NODE }));
    bench.progress(`starting ${wanted} pods`);
    const lab = await Lab.up('benchpods', yaml(ambient(NAMESPACE), ...pods), [
      '--nodes',
      '1',
      '--pods-per-node',
      '110',
    ]);
    try {
      const enrolled = async () => (await podsOf(lab)).filter(({ state }) => state === 'enrolled').length;
      await until('all pods are enrolled', async () => (await enrolled()) === wanted, 120_000);
      await setTimeout(5000);
      const residentMb = residentBytes(agentPids(lab)) / 1e6;
      return { rows: [{ name: 'aquifer', samples: { pods: [wanted], residentMb: [residentMb] } }], notes: [] };
    } finally {
      await lab.down();
      bench.progress('');
    }
  },
};
