/** Every name and address of a lab, derived from its name alone, so that `down` needs no record to find what to remove. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** No hyphen: `aq-<lab>-` must be a prefix of this lab's names and of no other's. */
const LAB_NAME = /^[a-z0-9]{1,20}$/;
export const STATE_ROOT = '/run/aquifer';
export const MAX_NODES = 50;
/** .0 is the network, .1 is left for a gateway, .255 is broadcast. */
export const MAX_PODS_PER_NODE = 253;
export const DNS_ADDRESSES = ['10.96.0.10', 'fd00:10:96::a'] as const;
export const SERVICE_CIDRS = ['10.96.0.0/16', 'fd00:10:96::/112'] as const;
export const CONTROLLER_ADDRESS = '172.30.0.2';
export const CLUSTER_DOMAIN = 'cluster.local';
/** Pseudo node that runs the pods of the world outside the mesh. */
export const OUTSIDE = 'outside';

/** `null` when the name can be a lab's, else what is wrong with it. */
export function labNameFault(name: string): string | null {
  if (LAB_NAME.test(name)) return null;
  return `"${name}" cannot name a lab: 1 to 20 lower-case letters and digits`;
}

export interface NodeAddresses {
  name: string;
  /** 1-based. */
  index: number;
  /** On the fabric. */
  v4: string;
  v6: string;
  podCidr4: string;
  podCidr6: string;
}

/** Addresses of the n-th node (1-based). */
export function nodeAddresses(index: number): NodeAddresses {
  return {
    name: `node-${index}`,
    index,
    v4: `172.30.0.${10 + index}`,
    v6: `fd00:172:30::${10 + index}`,
    podCidr4: `10.244.${index}.0/24`,
    podCidr6: `fd00:10:244:${index.toString(16)}::/64`,
  };
}

/** Addresses of the n-th pod (0-based) of a node; `node` 0 is the outside. */
export function podAddresses(node: number, slot: number): [string, string] {
  const host = slot + 2;
  if (node === 0) return [`192.0.2.${host}`, `2001:db8::${host.toString(16)}`];
  return [`10.244.${node}.${host}`, `fd00:10:244:${node.toString(16)}::${host.toString(16)}`];
}

/** Kernel interface names end at 15 characters. */
export function vethName(podUid: string): string {
  return `aq${createHash('sha256').update(podUid).digest('hex').slice(0, 10)}`;
}

/** Paths and kernel names of one lab. */
export class LabPaths {
  readonly name: string;
  readonly root: string;

  constructor(name: string) {
    this.name = name;
    this.root = join(STATE_ROOT, name);
  }

  get record(): string {
    return join(this.root, 'lab.json');
  }
  get socket(): string {
    return join(this.root, 'lab.sock');
  }
  get controllerDirectory(): string {
    return join(this.root, 'controller');
  }
  get controllerSocket(): string {
    return join(this.controllerDirectory, 'controller.sock');
  }
  get fabric(): string {
    return `aq-${this.name}-fabric`;
  }
  get netnsPrefix(): string {
    return `aq-${this.name}-`;
  }
  get cgroupName(): string {
    return `aquifer-${this.name}`;
  }

  node(name: string): string {
    return name === OUTSIDE ? join(this.root, OUTSIDE) : join(this.root, 'nodes', name);
  }
  nodeNetns(name: string): string {
    return name === OUTSIDE ? this.fabric : `aq-${this.name}-${name}`;
  }
  agentSocket(node: string): string {
    return join(this.node(node), 'agent.sock');
  }
  instance(node: string): string {
    return `${this.name}-${node}`;
  }
  log(what: string): string {
    return join(this.root, 'logs', `${what}.log`);
  }
  podLog(namespace: string, pod: string): string {
    return this.log(`${namespace}_${pod}`);
  }

  /** Name of a pod's network namespace: a file name, so a long one is shortened and told apart by a hash. */
  podNetns(namespace: string, pod: string): string {
    const full = `aq-${this.name}-${namespace}-${pod}`;
    if (full.length <= 100) return full;
    return `${full.slice(0, 89)}-${createHash('sha256').update(full).digest('hex').slice(0, 10)}`;
  }
}

export function netnsPath(name: string): string {
  return join('/run/netns', name);
}
