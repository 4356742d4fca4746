import type { Suite } from '../suite.ts';

const CONNECTIONS = 32;
const BYTES = 100;

export const REQUEST_RESPONSE: Suite = {
  name: 'request-response',
  title: `${BYTES} bytes there and back on ${CONNECTIONS} open connections`,
  measures: [
    { key: 'perSecond', label: 'requests/s', digits: 0, ratio: true },
    { key: 'p50Us', label: 'p50 µs', digits: 0 },
    { key: 'p99Us', label: 'p99 µs', digits: 0 },
    { key: 'proxyUs', label: 'proxy CPU µs/request', digits: 2, ratio: true },
    { key: 'machineUs', label: 'machine CPU µs/request', digits: 2 },
  ],
  targets: [
    { text: 'CPU per request ≤ 1.25× HAProxy', row: 'aquifer', measure: 'proxyUs', of: 'haproxy', atMost: 1.25 },
    { text: "CPU per request below Envoy's", row: 'aquifer', measure: 'proxyUs', of: 'envoy', atMost: 1 },
  ],
  run: (bench) =>
    bench.interleave(async (peer) => {
      const { seconds } = bench.options;
      const loaded = await bench.load(peer, 'rr', peer.ports.echo, CONNECTIONS, BYTES, seconds);
      const { operations = 0, seconds: took = 1, p50Us = 0, p99Us = 0, machineSeconds = 0 } = loaded.result;
      return {
        perSecond: operations / took,
        p50Us,
        p99Us,
        proxyUs: (loaded.proxySeconds * 1e6) / operations,
        machineUs: (machineSeconds * 1e6) / operations,
      };
    }),
};
