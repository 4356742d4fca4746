/** Configuration files of the controller and the agents. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLUSTER_DOMAIN, CONTROLLER_ADDRESS, type LabPaths } from '../names.ts';
import type { LabOptions } from '../record.ts';

const TOKEN_BYTES = 32;

/** Writes the controller's configuration and a token for each node; returns the configuration's path. */
export function writeControllerConfig(paths: LabPaths, options: LabOptions, nodes: readonly string[]): string {
  const directory = paths.controllerDirectory;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const tokens: Record<string, string> = {};
  for (const node of nodes) {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    tokens[token] = node;
    mkdirSync(join(paths.node(node), 'pods'), { recursive: true, mode: 0o700 });
    mkdirSync(join(paths.node(node), 'agent'), { recursive: true, mode: 0o700 });
    writeFileSync(join(paths.node(node), 'token'), token, { mode: 0o600 });
  }
  const tokensFile = join(directory, 'tokens.json');
  writeFileSync(tokensFile, JSON.stringify(tokens), { mode: 0o600 });
  return writeConfig(join(directory, 'config.json'), {
    listen: `${CONTROLLER_ADDRESS}:15012`,
    metricsListen: `${CONTROLLER_ADDRESS}:15014`,
    apiSocket: paths.controllerSocket,
    stateDir: directory,
    sources: options.manifests.map((path) => ({ directory: path })),
    clusterId: 'Kubernetes',
    network: '',
    trustDomain: CLUSTER_DOMAIN,
    clusterDomain: CLUSTER_DOMAIN,
    rootNamespace: 'aquifer-system',
    honourIstioLabel: true,
    tokensFile,
    logLevel: 'info',
    ...options.controllerConfig,
  });
}

/** Writes an agent's configuration; returns its path. `cgroup` is the lab's. */
export function writeAgentConfig(paths: LabPaths, options: LabOptions, node: string, cgroup: string): string {
  return writeConfig(join(paths.node(node), 'agent.json'), {
    node,
    instance: paths.instance(node),
    podSource: { directory: join(paths.node(node), 'pods') },
    controller: {
      address: `${CONTROLLER_ADDRESS}:15012`,
      caFile: join(paths.controllerDirectory, 'ca.pem'),
      tokenFile: join(paths.node(node), 'token'),
    },
    stateDir: join(paths.node(node), 'agent'),
    bpffs: '/sys/fs/bpf',
    cgroupRoot: join(cgroup, '..'),
    agentCgroup: join(cgroup, node, 'agent'),
    nodeCgroup: join(cgroup, node, 'kubelet'),
    admin: { socket: paths.agentSocket(node) },
    trustDomain: CLUSTER_DOMAIN,
    ...options.agentConfig,
  });
}

function writeConfig(file: string, config: Record<string, unknown>): string {
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  return file;
}
