import type { Suite } from '../suite.ts';

const GIGABYTE = 1e9;

export const BULK: Suite = {
  name: 'bulk',
  title: 'one transfer of 4 GB on one connection',
  measures: [
    { key: 'gbPerSecond', label: 'GB/s', digits: 2, ratio: true },
    { key: 'proxySecondsPerGb', label: 'proxy CPU s/GB', digits: 3, ratio: true },
    { key: 'machineSecondsPerGb', label: 'machine CPU s/GB', digits: 3 },
  ],
  targets: [
    { text: 'CPU per GB ≤ 1.3× HAProxy', row: 'aquifer', measure: 'proxySecondsPerGb', of: 'haproxy', atMost: 1.3 },
  ],
  run: (bench) =>
    bench.interleave(async (peer) => {
      const bytes = Math.round(4 * GIGABYTE * bench.options.scale);
      const loaded = await bench.load(peer, 'bulk', peer.ports.sink, bytes);
      const { seconds = 1, machineSeconds = 0 } = loaded.result;
      const gigabytes = bytes / GIGABYTE;
      return {
        gbPerSecond: gigabytes / seconds,
        proxySecondsPerGb: loaded.proxySeconds / gigabytes,
        machineSecondsPerGb: machineSeconds / gigabytes,
      };
    }),
};
