import type { Namespace, Node } from '../api/core-kinds.ts';
import type { ApiObject } from '../api/kinds.ts';
import type { L4Policy } from '../api/l4-policy.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { Pod } from '../api/pod.ts';
import type { EndpointSlice, Service } from '../api/service.ts';
import type { Delta, ObjectRef, Snapshot } from '../core/model.ts';
import { Derivation } from './derivation.ts';
import { Due } from './due.ts';
import { findingsOf, type PolicyFindings } from './findings.ts';
import { Intake } from './intake.ts';
import type { IndexOptions } from './options.ts';
import { Results } from './results.ts';
import { deriveSlice } from './slices.ts';
import { Tables } from './tables.ts';

/**
 * The synchronous reducer: objects in (`apply`, `remove`), resources for the agents out (`commit`).
 *
 * `apply` and `remove` only note what must be computed anew; `commit` computes exactly that. The result depends on the
 * objects alone, never on the order in which they came.
 */
export class Index {
  readonly #tables: Tables;
  readonly #due = new Due();
  readonly #results = new Results();
  readonly #derivation: Derivation;
  readonly #intake: Intake;
  #version = 0;

  constructor(options: IndexOptions) {
    this.#tables = new Tables(options);
    this.#derivation = new Derivation(this.#tables, this.#due, this.#results);
    this.#intake = new Intake(this.#tables, this.#due, this.#derivation);
  }

  get counts(): { policies: number; workloads: number; services: number } {
    const { workloads, services } = this.#results;
    return { policies: this.#tables.policies.size, workloads: workloads.live.size, services: services.live.size };
  }

  /** Takes a validated object; kinds that agents need nothing of are passed over. */
  apply(object: ApiObject): void {
    const { namespace = '', name } = object.metadata;
    const key = `${namespace}/${name}`;
    // The schema of its kind has been through it: `kind` tells the type.
    switch (object.kind) {
      case 'Namespace':
        this.#intake.namespace(name, object as unknown as Namespace);
        break;
      case 'Node':
        this.#intake.node(name, object as unknown as Node);
        break;
      case 'Pod':
        this.#intake.pod(object as unknown as Pod);
        break;
      case 'Service':
        this.#intake.service(key, object as unknown as Service);
        break;
      case 'EndpointSlice':
        this.#intake.slice(key, deriveSlice(object as unknown as EndpointSlice));
        break;
      case 'L4Policy':
        this.#intake.policy(key, object as unknown as L4Policy);
        break;
      case 'MeshConfig':
        this.#intake.trustDomain((object as unknown as MeshConfig).spec.trustDomain);
        break;
    }
  }

  remove({ kind, namespace, name }: ObjectRef): void {
    const key = `${namespace}/${name}`;
    switch (kind) {
      case 'Namespace':
        this.#intake.namespace(name, undefined);
        break;
      case 'Node':
        this.#intake.node(name, undefined);
        break;
      case 'Pod':
        this.#intake.podGone(key);
        break;
      case 'Service':
        this.#intake.service(key, undefined);
        break;
      case 'EndpointSlice':
        this.#intake.slice(key, null);
        break;
      case 'L4Policy':
        this.#intake.policyGone(key);
        break;
      case 'MeshConfig':
        this.#intake.trustDomain(undefined);
        break;
    }
  }

  /** Computes what is due and tells what of it is new. */
  commit(): Delta {
    this.#derivation.run();
    this.#version++;
    return this.#results.drain();
  }

  /** What one node gets, as of the last commit: every node the same, since any pod may call any other. */
  snapshotFor(_node: string): Snapshot {
    return this.#results.snapshot(this.#version);
  }

  /** What there is to say about a policy beyond its schema; null when it is not known. */
  findings(namespace: string, name: string): PolicyFindings | null {
    const { policies, services, options } = this.#tables;
    const entry = policies.get(`${namespace}/${name}`);
    if (entry === undefined) return null;
    const pods = new Set(this.#tables.podsOf(entry));
    return findingsOf(entry, { pods, services, clusterDomain: options.clusterDomain });
  }
}
