import type { Suite } from '../suite.ts';

const CONCURRENCY = 16;

export const CONNECTIONS: Suite = {
  name: 'connections',
  title: `new connections, ${CONCURRENCY} at a time: connect, one byte there, one back, close`,
  measures: [
    { key: 'perSecond', label: 'connections/s', digits: 0, ratio: true },
    { key: 'p50Us', label: 'p50 µs', digits: 0 },
    { key: 'p99Us', label: 'p99 µs', digits: 0 },
    { key: 'proxyUs', label: 'proxy CPU µs/connection', digits: 1, ratio: true },
    { key: 'machineUs', label: 'machine CPU µs/connection', digits: 1 },
    { key: 'errors', label: 'errors', digits: 0 },
  ],
  targets: [
    { text: 'CPU per new connection ≤ 2× HAProxy', row: 'aquifer', measure: 'proxyUs', of: 'haproxy', atMost: 2 },
    { text: 'no error', row: 'aquifer', measure: 'errors', of: null, atMost: 0 },
  ],
  run: (bench) =>
    bench.interleave(async (peer) => {
      const { seconds } = bench.options;
      const loaded = await bench.load(peer, 'connect', peer.ports.once, CONCURRENCY, seconds);
      const { operations = 0, errors = 0, seconds: took = 1, p50Us = 0, p99Us = 0, machineSeconds = 0 } = loaded.result;
      return {
        perSecond: operations / took,
        p50Us,
        p99Us,
        proxyUs: (loaded.proxySeconds * 1e6) / operations,
        machineUs: (machineSeconds * 1e6) / operations,
        errors,
      };
    }),
};
