/** The least proxy that Node can be: `pipe-proxy.ts LISTEN_ADDRESS TO_ADDRESS LISTEN_PORT:TO_PORT …`. */
import { connect, createServer } from 'node:net';

const [listenAddress = '', toAddress = '', ...pairs] = process.argv.slice(2);
for (const pair of pairs) {
  const [listenPort = 0, toPort = 0] = pair.split(':').map(Number);
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (downstream) => {
    const upstream = connect({ host: toAddress, port: toPort, allowHalfOpen: true, noDelay: true });
    downstream.on('error', () => upstream.destroy());
    upstream.on('error', () => downstream.destroy());
    downstream.pipe(upstream);
    upstream.pipe(downstream);
  });
  server.listen({ host: listenAddress, port: listenPort, backlog: 4096 });
}
