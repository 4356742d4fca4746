import { Lab } from '../../support/lab.ts';
import type { Row } from '../figures.ts';
import { manifests } from '../mesh.ts';
import { startNone } from '../peers/none.ts';
import type { Suite } from '../suite.ts';

/** The same lab twice, without and with its agent: what differs is the agent and its BPF programs. */
const VARIANTS = [
  { name: 'no agent', args: ['--no-agent'] },
  { name: 'aquifer', args: [] },
] as const;

export const UN_ENROLLED: Suite = {
  name: 'un-enrolled',
  title: 'what pods outside the mesh pay for an agent on their machine',
  measures: [
    { key: 'requestsPerSecond', label: 'requests/s', digits: 0 },
    { key: 'requestUs', label: 'machine CPU µs/request', digits: 2 },
    { key: 'connectionsPerSecond', label: 'connections/s', digits: 0 },
    { key: 'connectionUs', label: 'machine CPU µs/connection', digits: 1 },
  ],
  targets: [
    { text: 'CPU per request as without', row: 'aquifer', measure: 'requestUs', of: 'no agent', atMost: 1.02 },
    { text: 'CPU per connection as without', row: 'aquifer', measure: 'connectionUs', of: 'no agent', atMost: 1.02 },
  ],
  run: async (bench) => {
    const { rounds, seconds } = bench.options;
    const peer = await startNone(await bench.topology());
    const rows: Row[] = VARIANTS.map(({ name }) => ({ name, samples: {} }));
    for (let round = 0; round <= rounds; round++) {
      for (const [index, { name, args }] of VARIANTS.entries()) {
        bench.progress(`round ${round}/${rounds}, ${name}`);
        const lab = await Lab.up('benchout', manifests(), ['--nodes', '1', ...args]);
        try {
          const requests = (await bench.load(peer, 'rr', peer.ports.echo, 32, 100, seconds)).result;
          const connects = (await bench.load(peer, 'connect', peer.ports.once, 16, seconds)).result;
          if (round > 0) add(rows[index], requests, connects);
        } finally {
          await lab.down();
        }
      }
    }
    bench.progress('');
    return { rows, notes: [] };
  },
};

function add(row: Row | undefined, requests: Record<string, number>, connects: Record<string, number>): void {
  if (row === undefined) return;
  const put = (key: string, value: number) => {
    row.samples[key] = [...(row.samples[key] ?? []), value];
  };
  const { operations: asked = 1, seconds: askedFor = 1, machineSeconds: asking = 0 } = requests;
  const { operations: opened = 1, seconds: openedFor = 1, machineSeconds: opening = 0 } = connects;
  put('requestsPerSecond', asked / askedFor);
  put('requestUs', (asking * 1e6) / asked);
  put('connectionsPerSecond', opened / openedFor);
  put('connectionUs', (opening * 1e6) / opened);
}
