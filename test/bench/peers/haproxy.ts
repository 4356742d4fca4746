import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ports, SERVER_PORTS } from '../load.ts';
import { run } from '../processes.ts';
import { NODE_ADDRESS, SERVER_ADDRESS, type Topology } from '../topology.ts';
import { descriptorLimit } from '../usage.ts';
import { startNodeProxy } from './node-proxy.ts';
import { type Peer, PeerUnavailable } from './peer.ts';

const PORTS: Ports = { echo: 7101, sink: 7102, once: 7103 };

/** HAProxy in TCP mode with one thread, an access log line for each connection and one deny rule. */
export async function startHaproxy(topology: Topology, directory: string): Promise<Peer> {
  const config = join(directory, 'haproxy.cfg');
  writeFileSync(config, CONFIG);
  await run('haproxy', '-v').catch((cause: unknown) => {
    throw new PeerUnavailable('haproxy is not installed', { cause });
  });
  return await startNodeProxy(topology, 'haproxy', PORTS, ['haproxy', '-db', '-f', config], directory);
}

const FRONTENDS = (Object.keys(PORTS) as (keyof Ports)[]).map(
  (name) => `
listen ${name}
  bind ${NODE_ADDRESS}:${PORTS[name]}
  tcp-request connection reject if { src 192.0.2.0/24 }
  server pod ${SERVER_ADDRESS}:${SERVER_PORTS[name]}
`,
);

const CONFIG = `global
  nbthread 1
  maxconn ${Math.min(30_000, Math.floor(descriptorLimit() / 2) - 100)}
  log stdout format raw local0
defaults
  mode tcp
  option tcplog
  log global
  backlog 4096
  timeout connect 5s
  timeout client 1h
  timeout server 1h
${FRONTENDS.join('')}`;
