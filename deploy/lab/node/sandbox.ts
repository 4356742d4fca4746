/** What a pod's containers share: network namespace, cgroup, and the files that make its names work. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { namespaceOf, type Pod } from '../cluster/objects.ts';
import {
  CLUSTER_DOMAIN,
  DNS_ADDRESSES,
  type LabPaths,
  type NodeAddresses,
  netnsPath,
  OUTSIDE,
  vethName,
} from '../names.ts';
import {
  attachOutside,
  attachPod,
  inNamespace,
  outsideCommands,
  type PodCable,
  podCommands,
  sysctls,
} from '../network/topology.ts';
import { ipBatch, tool } from '../tools.ts';
import { makeCgroup, removeCgroup } from './cgroups.ts';

export interface SandboxPlace {
  paths: LabPaths;
  node: NodeAddresses;
  nodes: readonly NodeAddresses[];
  outside: boolean;
  /** `<v2>/aquifer-<lab>/<node>/pods` */
  podsCgroup: string;
}

export class Sandbox {
  readonly netns: string;
  readonly cgroup: string;
  readonly files: string;
  readonly addresses: readonly string[];
  readonly #place: SandboxPlace;
  readonly #pod: Pod;
  readonly #uid: string;
  readonly #hostNetwork: boolean;

  constructor(place: SandboxPlace, pod: Pod, addresses: readonly string[]) {
    this.#place = place;
    this.#pod = pod;
    this.#uid = pod.metadata.uid ?? '';
    this.#hostNetwork = pod.spec.hostNetwork === true;
    this.addresses = addresses;
    const node = place.outside ? OUTSIDE : place.node.name;
    const name = this.#hostNetwork
      ? place.paths.nodeNetns(node)
      : place.paths.podNetns(namespaceOf(pod), pod.metadata.name);
    this.netns = name;
    this.cgroup = join(place.podsCgroup, this.#uid);
    this.files = join(place.paths.node(node), 'sandbox', this.#uid);
  }

  async create(): Promise<void> {
    makeCgroup(this.cgroup);
    this.#writeFiles();
    if (!this.#hostNetwork) await this.#createNetwork();
  }

  /** Tells the agent of this node. It must know before anything runs in the pod. */
  announce(capabilities: readonly string[]): void {
    const file = this.#announcement();
    const { metadata, spec } = this.#pod;
    const description = {
      uid: this.#uid,
      namespace: namespaceOf(this.#pod),
      name: metadata.name,
      serviceAccount: spec.serviceAccountName ?? 'default',
      node: this.#place.node.name,
      netns: netnsPath(this.netns),
      cgroup: this.cgroup,
      addresses: this.addresses,
      capabilities: capabilities.map((name) => `CAP_${name}`),
      hostNetwork: this.#hostNetwork,
    };
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(`${file}.tmp`, JSON.stringify(description), { mode: 0o600 });
    renameSync(`${file}.tmp`, file);
  }

  /** The other way round: the agent first, the namespace last. */
  async remove(): Promise<void> {
    rmSync(this.#announcement(), { force: true });
    await removeCgroup(this.cgroup);
    if (!this.#hostNetwork) {
      const veth = vethName(this.#uid);
      // By name, since sockets of the agent may keep the namespace, and with it the cable, alive for a while.
      await tool('ip', ['link', 'del', veth]).catch(() => {});
      await tool('ip', ['netns', 'del', this.netns]).catch(() => {});
    }
    rmSync(this.files, { recursive: true, force: true });
  }

  #announcement(): string {
    return join(
      this.#place.paths.node(this.#place.outside ? OUTSIDE : this.#place.node.name),
      'pods',
      `${this.#uid}.json`,
    );
  }

  async #createNetwork(): Promise<void> {
    const [v4 = '', v6 = ''] = this.addresses;
    const cable: PodCable = { netns: this.netns, veth: vethName(this.#uid), addresses: [v4, v6] };
    const { node, nodes, outside } = this.#place;
    if (existsSync(netnsPath(this.netns))) await tool('ip', ['netns', 'del', this.netns]);
    await ipBatch(outside ? attachOutside(cable) : attachPod(cable, node));
    const commands = outside ? outsideCommands(cable, nodes) : podCommands(cable);
    const asked = (this.#pod.spec.securityContext?.sysctls ?? []).map(({ name, value }): [string, string] => [
      name.replaceAll('.', '/'),
      value,
    ]);
    const [command, args, input] = inNamespace(this.netns, [...sysctls(false), ...asked], commands);
    await tool(command, args, { input });
  }

  #writeFiles(): void {
    mkdirSync(this.files, { recursive: true });
    const { metadata, spec } = this.#pod;
    const hostname = spec.hostname ?? metadata.name;
    const write = (name: string, lines: string[]): void =>
      writeFileSync(join(this.files, name), `${lines.join('\n')}\n`);
    write('hostname', [hostname]);
    // systemd-resolved and nscd would answer for the host's names, not the pod's.
    write('nsswitch.conf', [
      'passwd: files',
      'group: files',
      'shadow: files',
      'hosts: files dns',
      'networks: files',
      'services: files',
      'protocols: files',
    ]);
    write('hosts', [
      '127.0.0.1 localhost',
      '::1 localhost ip6-localhost ip6-loopback',
      ...this.addresses.map((address) => `${address} ${hostname}`),
      ...(spec.hostAliases ?? []).map((alias) => [alias.ip, ...(alias.hostnames ?? [])].join(' ')),
    ]);
    const search = ['svc', ''].map((part) => [part, CLUSTER_DOMAIN].filter(Boolean).join('.'));
    const own = `${namespaceOf(this.#pod)}.svc.${CLUSTER_DOMAIN}`;
    write(
      'resolv.conf',
      this.#place.outside
        ? ['# a host outside the cluster has no names of it']
        : [
            `nameserver ${DNS_ADDRESSES[0]}`,
            `search ${[own, ...search].join(' ')}`,
            'options ndots:5 timeout:2 attempts:2',
          ],
    );
  }
}
