import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab } from '../support/lab.ts';
import { ambient, l4Policy, namespace, pod, serviceAccount, yaml } from '../support/manifests.ts';
import { SERVER_PORTS, serveCommand } from './load.ts';
import { type Peer, PeerUnavailable } from './peers/peer.ts';
import { run, until } from './processes.ts';

const CLI = join(import.meta.dirname, '../../controller/cli/main.ts');

export const NODE = 'node-1';
export const NAMESPACE = 'bench';
/** See `lateNamespace`. */
export const LATE = 'late';

/** The policies that are judged all the time: one that admits the client, one that refuses somebody else. */
export function policies(): string {
  return yaml(
    l4Policy(NAMESPACE, 'callers', {
      selector: { matchLabels: { app: 'server' } },
      action: 'Allow',
      rules: [{ from: [{ serviceAccounts: [`${NAMESPACE}/client`] }] }],
    }),
    l4Policy(NAMESPACE, 'strangers', {
      selector: { matchLabels: { app: 'server' } },
      action: 'Deny',
      rules: [{ from: [{ ipBlocks: ['192.0.2.0/24'] }] }],
    }),
  );
}

/** Namespace, client and server on one node; `extra` is more YAML. */
export function manifests(extra = ''): string {
  const ports = Object.values(SERVER_PORTS).map((containerPort: number) => ({ containerPort }));
  const basic = yaml(
    ambient(NAMESPACE),
    serviceAccount(NAMESPACE, 'client'),
    serviceAccount(NAMESPACE, 'server'),
    pod(NAMESPACE, 'client', { node: NODE, serviceAccount: 'client' }),
    pod(NAMESPACE, 'server', { node: NODE, serviceAccount: 'server', command: serveCommand(), ports }),
  );
  return [basic, policies(), ...(extra === '' ? [] : [extra])].join('---\n');
}

/** A lab of one node with client and server, both enrolled. Throws `PeerUnavailable`. */
export async function startLab(): Promise<Lab> {
  let lab: Lab;
  try {
    lab = await Lab.up('bench', manifests(lateNamespace('none')), ['--nodes', '1']);
  } catch (cause) {
    throw new PeerUnavailable(`the lab did not come up: ${(cause as Error).message}`, { cause });
  }
  try {
    await until('client and server are enrolled', async () => {
      const pods = await podsOf(lab);
      return pods.filter(({ namespace, state }) => namespace === NAMESPACE && state === 'enrolled').length === 2;
    });
    return lab;
  } catch (error) {
    await lab.down();
    throw error;
  }
}

/** What the agent says of its pods. */
export async function podsOf(lab: Lab): Promise<{ namespace: string; name: string; state: string }[]> {
  return await lab.agent(NODE, '/pods');
}

/** A namespace of its own with one pod, which a suite enrols and un-enrols. */
export function lateNamespace(mode: 'ambient' | 'none'): string {
  return yaml(namespace(LATE, { 'aquifer.dev/dataplane-mode': mode }), pod(LATE, 'pod', { node: NODE }));
}

/** Process ids of the lab's agent on its one node. */
export function agentPids(lab: Lab): number[] {
  const mount = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1] ?? '/sys/fs/cgroup';
  const text = readFileSync(join(mount, `aquifer-${lab.name}`, NODE, 'agent/cgroup.procs'), 'utf8');
  return text.trim().split('\n').map(Number);
}

/** Gives the agent, all its threads, one CPU. */
export async function pin(pids: readonly number[], cpu: string): Promise<void> {
  for (const pid of pids) await run('taskset', '-a', '-c', '-p', cpu, `${pid}`);
}

/** The lab's client and server as a peer: what the client sends to the server goes through the agent. */
export async function peerOf(lab: Lab, name: string, pids: readonly number[]): Promise<Peer> {
  const address = await lab.address(NAMESPACE, 'server');
  return {
    name,
    address,
    ports: SERVER_PORTS,
    pids,
    client: (command) => [
      process.execPath,
      CLI,
      ...['lab', 'exec', '--name', lab.name, `${NAMESPACE}/client`, '--'],
      ...command,
    ],
    stop: async () => {},
  };
}
