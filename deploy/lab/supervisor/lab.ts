/** A lab's processes and its cluster, wired together. */
import { join } from 'node:path';
import type { Change } from '../cluster/store.ts';
import { LabError } from '../errors.ts';
import { type LabPaths, type NodeAddresses, OUTSIDE } from '../names.ts';
import type { FromNode } from '../node/messages.ts';
import { type LabRecord, writeRecord } from '../record.ts';
import { Child, type ChildSettings } from './child.ts';
import { Cluster } from './cluster.ts';
import { writeAgentConfig, writeControllerConfig } from './configs.ts';
import { LogKeeper } from './log-keeper.ts';
import { Publisher } from './publisher.ts';
import { Sources } from './sources.ts';

export interface LabSettings {
  paths: LabPaths;
  record: LabRecord;
  nodes: readonly NodeAddresses[];
  log: (text: string) => void;
}

export class Lab {
  readonly settings: LabSettings;
  readonly cluster: Cluster;
  readonly sources: Sources;
  readonly publisher: Publisher;
  readonly controller: Child;
  readonly agents = new Map<string, Child>();
  readonly kubelets = new Map<string, Child>();
  readonly readyNodes = new Set<string>();
  #changes: Change[] = [];

  constructor(settings: LabSettings) {
    const { paths, record, nodes, log } = settings;
    this.settings = settings;
    this.publisher = new Publisher(paths.controllerSocket, log);
    this.sources = new Sources(paths.controllerSocket, () => this.cluster.touch(), log);
    this.cluster = new Cluster({
      nodes,
      sources: this.sources.store,
      onChange: (change) => this.#gather(change),
      publish: (object) => this.publisher.set(object),
      unpublish: (object) => this.publisher.remove(object),
    });
    const names = nodes.map((node) => node.name);
    const config = writeControllerConfig(paths, record.options, names);
    this.controller = this.#child({
      name: 'controller',
      program: 'controller/main.ts',
      args: ['--config', config],
      netns: paths.fabric,
      cgroup: join(record.cgroup, 'controller'),
      logFile: paths.log('controller'),
    });
    for (const name of [...names, OUTSIDE]) this.kubelets.set(name, this.#kubelet(name));
    if (record.options.agents) for (const name of names) this.agents.set(name, this.#agent(name));
    new LogKeeper(join(paths.root, 'logs')).start();
  }

  /** `controller`, `agent/<node>` or `kubelet/<node>`. Throws `LAB_UNKNOWN_TARGET`. */
  child(name: string): Child {
    const found = this.children().find((child) => child.settings.name === name);
    if (found !== undefined) return found;
    const known = this.children().map((child) => child.settings.name);
    throw new LabError('LAB_UNKNOWN_TARGET', `this lab has no "${name}"`, { hint: `it has ${known.join(', ')}` });
  }

  children(): Child[] {
    return [this.controller, ...this.agents.values(), ...this.kubelets.values()];
  }

  #agent(node: string): Child {
    const { paths, record } = this.settings;
    return this.#child({
      name: `agent/${node}`,
      program: 'agent/main.ts',
      args: ['--config', writeAgentConfig(paths, record.options, node, record.cgroup)],
      netns: paths.nodeNetns(node),
      cgroup: join(record.cgroup, node, 'agent'),
      logFile: paths.log(`agent-${node}`),
    });
  }

  #kubelet(node: string): Child {
    const { paths, record } = this.settings;
    return this.#child({
      name: `kubelet/${node}`,
      program: 'deploy/lab/node/main.ts',
      args: [paths.name, node],
      netns: paths.nodeNetns(node),
      cgroup: join(record.cgroup, node, 'kubelet'),
      logFile: paths.log(`kubelet-${node}`),
      onMessage: (message) => this.#onNodeMessage(node, message as FromNode),
      onStart: (process) => {
        const changes = this.cluster.view.all().map((object): Change => ({ op: 'set', object }));
        if (changes.length > 0) process.send({ changes });
      },
    });
  }

  #child(settings: Omit<ChildSettings, 'log' | 'onPid'>): Child {
    return new Child({ ...settings, log: this.settings.log, onPid: () => this.#recordPids() });
  }

  #onNodeMessage(node: string, message: FromNode): void {
    if (message.type === 'ready') this.readyNodes.add(node);
    else if (message.type === 'status') {
      this.cluster.onStatus(message.namespace, message.name, message.uid, message.status, message.addresses);
    } else this.cluster.onGone(message.namespace, message.name, message.uid);
  }

  /** One message to each node for all changes of a moment. */
  #gather(change: Change): void {
    if (this.#changes.push(change) > 1) return;
    setImmediate(() => {
      const changes = this.#changes;
      this.#changes = [];
      for (const child of this.kubelets.values()) child.send({ changes });
    });
  }

  #recordPids(): void {
    const { paths, record } = this.settings;
    record.pids = { supervisor: process.pid };
    for (const child of this.children()) if (child.pid !== null) record.pids[child.settings.name] = child.pid;
    writeRecord(paths, record);
  }
}
