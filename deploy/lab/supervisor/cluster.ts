/** The controllers of the embedded cluster: from what the user wrote and what the nodes report to what there shall be. */
import { endpointSlices } from '../cluster/endpoints.ts';
import { type LabObject, type Node, nameOf, namespaceOf, type Pod, type PodStatus } from '../cluster/objects.ts';
import { isOutside, schedule } from '../cluster/scheduler.ts';
import { ServiceAddresses } from '../cluster/services.ts';
import { type Change, Store, storeNamespace } from '../cluster/store.ts';
import { type NodeAddresses, OUTSIDE } from '../names.ts';
import { nodeObject } from './nodes.ts';
import { barePod, deploymentOf, podOf, updatedMetadata, wantedPods } from './pods.ts';

const ADDRESS_ANNOTATION = 'lab.aquifer.dev/address';

export interface ClusterSettings {
  nodes: readonly NodeAddresses[];
  /** What the user wrote. */
  sources: Store;
  /** To the nodes. */
  onChange: (change: Change) => void;
  publish: (object: LabObject) => void;
  unpublish: (object: LabObject) => void;
}

/** `view` holds everything as the nodes see it: the sources, and over them what is decided here. */
export class Cluster {
  readonly view = new Store();
  readonly #settings: ClusterSettings;
  readonly #addresses = new ServiceAddresses();
  readonly #published = new Map<string, LabObject>();
  #faults = new Map<string, string>();
  #touched = false;

  constructor(settings: ClusterSettings) {
    this.#settings = settings;
    this.view.onChange(settings.onChange);
  }

  /** Pods that could not be placed and Services without an address: `kind namespace/name` to the reason. */
  get faults(): ReadonlyMap<string, string> {
    return this.#faults;
  }

  /** Brings everything in line; synchronous, and does nothing when nothing has changed. */
  reconcile(): void {
    this.#faults = new Map();
    this.#copySources();
    this.#nodes();
    this.#pods();
    this.#services();
    this.#endpoints();
  }

  /** Reconciles soon: many changes of one moment cost one run. */
  touch(): void {
    if (this.#touched) return;
    this.#touched = true;
    setImmediate(() => {
      this.#touched = false;
      this.reconcile();
    });
  }

  onStatus(namespace: string, name: string, uid: string, status: PodStatus, addresses: readonly string[]): void {
    const pod = this.view.get('Pod', namespace, name);
    if (pod === undefined || pod.metadata.uid !== uid) return;
    const annotations = { ...pod.metadata.annotations, [ADDRESS_ANNOTATION]: addresses.join(',') };
    const marked =
      pod.spec.nodeName === OUTSIDE && addresses.length > 0 ? { ...pod.metadata, annotations } : pod.metadata;
    this.#put({ ...pod, metadata: marked, status: withTimes(status, pod.status) });
    this.touch();
  }

  onGone(namespace: string, name: string, uid: string): void {
    const pod = this.view.get('Pod', namespace, name);
    if (pod !== undefined && pod.metadata.uid === uid) this.#drop(pod);
    this.touch();
  }

  #copySources(): void {
    const { sources } = this.#settings;
    for (const kind of ['Namespace', 'ServiceAccount', 'NetworkPolicy', 'Deployment'] as const) {
      this.#mirror(kind, sources.list(kind));
    }
    for (const service of sources.list('Service')) {
      const assigned = this.#addresses.assign(nameOf(service), service);
      if (assigned.fault !== null) this.#faults.set(`Service ${nameOf(service)}`, assigned.fault);
      else this.#put(assigned.service);
    }
  }

  /** Objects that are passed on as they are; the controller has them already. */
  #mirror(kind: 'Namespace' | 'ServiceAccount' | 'NetworkPolicy' | 'Deployment', objects: readonly LabObject[]): void {
    const wanted = new Set(objects.map((object) => `${storeNamespace(object)}/${object.metadata.name}`));
    for (const object of objects) this.view.set(object);
    for (const old of this.view.list(kind)) {
      if (!wanted.has(`${storeNamespace(old)}/${old.metadata.name}`))
        this.view.delete(kind, storeNamespace(old), old.metadata.name);
    }
  }

  #nodes(): void {
    for (const node of this.#settings.nodes) {
      this.#put(nodeObject(node, this.#settings.sources.get('Node', '', node.name)));
    }
  }

  #pods(): void {
    const { sources } = this.#settings;
    const pods = this.view.list('Pod');
    for (const deployment of sources.list('Deployment')) {
      const step = wantedPods(deployment, pods);
      for (const name of step.delete) this.#terminate(namespaceOf(deployment), name);
      for (let created = 0; created < step.create; created++) this.#create(podOf(deployment));
    }
    for (const source of sources.list('Pod')) {
      const current = this.view.get('Pod', namespaceOf(source), source.metadata.name);
      const wanted = barePod(source);
      if (current === undefined) this.#create(wanted);
      else if (updatedMetadata(current, wanted) === null) this.#terminate(namespaceOf(source), source.metadata.name);
      else this.#put(updatedMetadata(current, wanted) ?? current);
    }
    for (const pod of pods) if (!this.#hasSource(pod)) this.#terminate(namespaceOf(pod), pod.metadata.name);
    for (const pod of this.view.list('Pod')) if (pod.spec.nodeName === undefined) this.#place(pod);
  }

  #hasSource(pod: Pod): boolean {
    const { sources } = this.#settings;
    const deployment = deploymentOf(pod);
    if (deployment !== null) return sources.get('Deployment', namespaceOf(pod), deployment) !== undefined;
    return sources.get('Pod', namespaceOf(pod), pod.metadata.name) !== undefined;
  }

  #create(pod: Pod): void {
    this.#put(pod);
    if (pod.spec.nodeName === undefined || !this.#isNode(pod.spec.nodeName)) this.#place(pod);
  }

  #isNode(name: string): boolean {
    return this.#settings.nodes.some((node) => node.name === name);
  }

  #place(pod: Pod): void {
    const namespace = this.view.get('Namespace', '', namespaceOf(pod));
    const outside = isOutside(pod, namespace?.metadata.annotations);
    const nodes = this.view.list('Node') as Node[];
    const placement = outside ? { node: OUTSIDE } : schedule(pod, nodes, this.view.list('Pod'));
    if ('node' in placement) {
      this.#put({ ...pod, spec: { ...pod.spec, nodeName: placement.node } });
      return;
    }
    this.#faults.set(`Pod ${nameOf(pod)}`, placement.unschedulable);
    const condition = {
      type: 'PodScheduled',
      status: 'False' as const,
      reason: 'Unschedulable',
      message: placement.unschedulable,
    };
    const status: PodStatus = {
      phase: 'Pending',
      reason: 'Unschedulable',
      message: placement.unschedulable,
      conditions: [condition],
    };
    this.#put({ ...pod, status });
  }

  #terminate(namespace: string, name: string): void {
    const pod = this.view.get('Pod', namespace, name);
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return;
    const unplaced = pod.spec.nodeName === undefined || pod.status?.reason === 'Unschedulable';
    if (unplaced) this.#drop(pod);
    else this.#put({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: new Date().toISOString() } });
  }

  #services(): void {
    for (const service of this.view.list('Service')) {
      if (this.#settings.sources.get('Service', namespaceOf(service), service.metadata.name) !== undefined) continue;
      this.#addresses.release(nameOf(service));
      this.#drop(service);
    }
  }

  #endpoints(): void {
    const pods = this.view.list('Pod');
    const zones = new Map(
      this.view.list('Node').map((node) => [node.metadata.name, node.metadata.labels?.['topology.kubernetes.io/zone']]),
    );
    const own = this.view
      .list('Service')
      .flatMap((service) => endpointSlices(service, pods, (node) => zones.get(node)));
    const users = this.#settings.sources.list('EndpointSlice');
    const wanted = new Set([...own, ...users].map(nameOf));
    for (const slice of users) this.view.set(slice);
    for (const slice of own) this.#put(slice);
    for (const slice of this.view.list('EndpointSlice')) if (!wanted.has(nameOf(slice))) this.#drop(slice);
  }

  #put(object: LabObject): void {
    this.view.set(object);
    const key = `${object.kind}/${nameOf(object)}`;
    if (JSON.stringify(this.#published.get(key)) === JSON.stringify(object)) return;
    this.#published.set(key, object);
    this.#settings.publish(object);
  }

  #drop(object: LabObject): void {
    this.view.delete(object.kind, storeNamespace(object), object.metadata.name);
    if (this.#published.delete(`${object.kind}/${nameOf(object)}`)) this.#settings.unpublish(object);
  }
}

/** A condition keeps its time while it does not turn. */
function withTimes(status: PodStatus, before: PodStatus | undefined): PodStatus {
  const now = new Date().toISOString();
  const conditions = (status.conditions ?? []).map((condition) => {
    const old = before?.conditions?.find((one) => one.type === condition.type);
    return {
      ...condition,
      lastTransitionTime: old?.status === condition.status ? (old.lastTransitionTime ?? now) : now,
    };
  });
  return { ...status, conditions };
}
