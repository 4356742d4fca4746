import type { Namespace, Node } from '../api/core-kinds.ts';
import type { Service as ApiService } from '../api/service.ts';
import type { Labels } from '../core/selector.ts';
import { SelectorIndex, selects } from '../core/selector.ts';
import type { IndexOptions } from './options.ts';
import type { PodEntry } from './pods.ts';
import { PodTable } from './pods.ts';
import type { PolicyEntry } from './policies.ts';
import { PolicyTable } from './policies.ts';
import { SliceTable } from './slices.ts';

/** The objects as they stand, each found the ways it is asked for. Keys are `namespace/name` or the bare name. */
export class Tables {
  options: IndexOptions;
  readonly namespaces = new Map<string, Namespace>();
  readonly nodes = new Map<string, Node>();
  readonly services = new Map<string, ApiService>();
  readonly pods = new PodTable();
  readonly slices = new SliceTable();
  readonly policies: PolicyTable;
  /** By namespace: the Services that select pods there. */
  readonly #selectors = new Map<string, SelectorIndex>();

  constructor(options: IndexOptions) {
    this.options = options;
    this.policies = new PolicyTable(options.rootNamespace);
  }

  setService(key: string, service: ApiService | undefined): void {
    const selectors = this.#selectors.getOrInsertComputed(namespaceOf(key), () => new SelectorIndex());
    selectors.delete(key);
    if (service === undefined) {
      this.services.delete(key);
      return;
    }
    this.services.set(key, service);
    selectors.set(key, selectorOf(service));
  }

  /** Keys of the Services that select these labels, sorted. */
  servicesSelecting(namespace: string, labels: Labels): string[] {
    return this.#selectors.get(namespace)?.match(labels) ?? [];
  }

  /** Pods that a Service selects; of one without selector, those that its slices name. */
  *membersOf(key: string): Generator<PodEntry> {
    const service = this.services.get(key);
    if (service === undefined) return;
    if (hasSelector(service)) {
      const selector = selectorOf(service);
      for (const pod of this.pods.inNamespace(namespaceOf(key))) if (selects(selector, pod.labels)) yield pod;
      return;
    }
    for (const { endpoints } of this.slices.ofService(key)) {
      for (const { pod, address } of endpoints) {
        const named = this.pods.get(pod);
        if (named !== undefined) yield named;
        else if (pod === '') yield* this.pods.withAddress(address);
      }
    }
  }

  /** The pods that a policy is about, some more than once. */
  *podsOf({ policy, targets, object }: PolicyEntry): Generator<PodEntry> {
    if (targets !== null) {
      for (const target of targets) yield* this.membersOf(target);
      return;
    }
    const everywhere = policy.namespace === this.options.rootNamespace;
    const selector = object.spec.selector?.matchLabels ?? {};
    for (const pod of everywhere ? this.pods.all() : this.pods.inNamespace(policy.namespace)) {
      if (selects(selector, pod.labels)) yield pod;
    }
  }
}

/** The labels that a Service selects by; empty: none. */
export function selectorOf({ spec }: ApiService): Labels {
  return spec.type === 'ExternalName' ? {} : (spec.selector ?? {});
}

/** Whether labels decide who its endpoints are; else its EndpointSlices do. */
export function hasSelector(service: ApiService): boolean {
  return Object.keys(selectorOf(service)).length > 0;
}

/** First part of `namespace/name`. */
export function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}
