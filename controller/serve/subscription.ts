import { create } from '@bufbuild/protobuf';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '../proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { DeltaDiscoveryResponseSchema, ResourceSchema } from '../proto/gen/envoy/service/discovery/v3/ads_pb.js';
import type { ResourceCache } from './resource-cache.ts';
import type { TypeUrl } from './types.ts';

/** Keeps a response below the receiver's usual limit of 4 MiB. */
const DEFAULT_MAX_RESPONSE_BYTES = 2 * 1024 * 1024;

/**
 * Ends the `system_version_info` of every part of a batch but the last: xDS has no mark of its own, and an agent makes
 * a batch live as a whole. Other peers only log that field.
 */
const MORE_TO_COME = '+';

interface Outstanding {
  nonce: string;
  names: readonly string[];
  /** The cache's sequence that the client has with this response, if it was the last of its batch. */
  sequence: number | null;
}

export type Verdict = { kind: 'ack' } | { kind: 'nack'; message: string } | { kind: 'stale' };

/**
 * One type on one stream: what the client wants, has been sent and has said about it. Sans I/O: requests go in,
 * `next` gives the response to send, if there is one to send now.
 *
 * At most one response is outstanding. What changes meanwhile is noted by name only, so that a slow client costs a
 * set of names and gets the newest state when it is ready.
 */
export class Subscription {
  readonly typeUrl: TypeUrl;
  readonly #cache: ResourceCache;
  readonly #maxResponseBytes: number;
  #wildcard = false;
  readonly #wanted = new Set<string>();
  readonly #pending = new Set<string>();
  readonly #rejected = new Map<string, string>();
  #outstanding: Outstanding | null = null;
  #started = false;
  #mustAnswer = false;
  #nonce = 0;
  #acked = -1;

  constructor(typeUrl: TypeUrl, cache: ResourceCache, maxResponseBytes = DEFAULT_MAX_RESPONSE_BYTES) {
    this.typeUrl = typeUrl;
    this.#cache = cache;
    this.#maxResponseBytes = maxResponseBytes;
  }

  /** The update of the cache that the client has confirmed to hold completely; -1: none. */
  get ackedSequence(): number {
    return this.#acked;
  }

  /** How many names wait for the client to be ready. */
  get backlog(): number {
    return this.#pending.size;
  }

  /** How many resources the client refused and has not taken in a later version. */
  get rejections(): number {
    return this.#rejected.size;
  }

  /** Whether the client has confirmed this resource in its present version. */
  holds(name: string): boolean {
    const resource = this.#cache.get(this.typeUrl, name);
    if (resource === undefined) return false;
    return this.#acked >= resource.sequence && !this.#pending.has(name) && !this.#rejected.has(name);
  }

  /** Takes a request; the verdict is about the response that it answers, null when it answers none. */
  take(request: DeltaDiscoveryRequest): Verdict | null {
    const verdict = request.responseNonce === '' ? null : this.#judge(request);
    if (!this.#started) this.#start(request);
    else this.#change(request);
    return verdict;
  }

  /** Notes changed names. */
  touch(names: readonly string[]): void {
    for (const name of names) if (this.#isWanted(name)) this.#pending.add(name);
  }

  /** The response to send now, or null. */
  next(): DeltaDiscoveryResponse | null {
    if (!this.#started || this.#outstanding !== null) return null;
    if (this.#pending.size === 0 && !this.#mustAnswer) {
      // Nothing that this client wants has changed: it holds the newest state.
      if (this.#acked >= 0 && this.#rejected.size === 0) this.#acked = this.#cache.sequence;
      return null;
    }
    this.#mustAnswer = false;
    const resources = [];
    const removed: string[] = [];
    const names: string[] = [];
    let bytes = 0;
    for (const name of this.#pending) {
      const resource = this.#cache.get(this.typeUrl, name);
      const size = (resource?.bytes.length ?? 0) + name.length + 128;
      if (names.length > 0 && bytes + size > this.#maxResponseBytes) break;
      bytes += size;
      this.#pending.delete(name);
      names.push(name);
      if (resource === undefined) {
        removed.push(name);
        continue;
      }
      resources.push(
        create(ResourceSchema, {
          name,
          version: resource.version,
          aliases: [...resource.aliases],
          resource: { typeUrl: this.typeUrl, value: resource.bytes },
        }),
      );
    }
    this.#nonce++;
    const isLast = this.#pending.size === 0;
    const sequence = isLast ? this.#cache.sequence : null;
    // A part that was announced must come, be it empty by then.
    this.#mustAnswer = !isLast;
    this.#outstanding = { nonce: String(this.#nonce), names, sequence };
    return create(DeltaDiscoveryResponseSchema, {
      systemVersionInfo: `${this.#cache.sequence}${isLast ? '' : MORE_TO_COME}`,
      typeUrl: this.typeUrl,
      nonce: String(this.#nonce),
      resources,
      removedResources: removed,
    });
  }

  #judge(request: DeltaDiscoveryRequest): Verdict {
    const answered = this.#outstanding;
    if (answered === null || answered.nonce !== request.responseNonce) return { kind: 'stale' };
    this.#outstanding = null;
    if (request.errorDetail !== undefined) {
      // The client keeps what it had; the same is not sent again, only what replaces it.
      for (const name of answered.names) this.#rejected.set(name, request.errorDetail.message);
      return { kind: 'nack', message: request.errorDetail.message };
    }
    for (const name of answered.names) this.#rejected.delete(name);
    if (answered.sequence !== null) this.#acked = answered.sequence;
    return { kind: 'ack' };
  }

  /** The first request of a type: everything unless names are given (xDS, "wildcard" and "initial_resource_versions"). */
  #start(request: DeltaDiscoveryRequest): void {
    this.#started = true;
    // A client waits for the first answer to know that it is in sync, also when there is nothing to tell.
    this.#mustAnswer = true;
    const names = request.resourceNamesSubscribe;
    this.#wildcard = names.length === 0 || names.includes('*');
    for (const name of names) if (name !== '*') this.#wanted.add(this.#cache.resolve(this.typeUrl, name));
    const held = new Map(Object.entries(request.initialResourceVersions));
    for (const name of this.#wildcard ? this.#cache.names(this.typeUrl) : this.#wanted) {
      const resource = this.#cache.get(this.typeUrl, name);
      if (resource === undefined || held.get(name) !== resource.version) this.#pending.add(name);
    }
    for (const name of held.keys()) {
      if (this.#cache.get(this.typeUrl, name) === undefined) this.#pending.add(name);
    }
  }

  #change(request: DeltaDiscoveryRequest): void {
    for (const asked of request.resourceNamesSubscribe) {
      if (asked === '*') {
        this.#wildcard = true;
        for (const name of this.#cache.names(this.typeUrl)) this.#pending.add(name);
        continue;
      }
      const name = this.#cache.resolve(this.typeUrl, asked);
      this.#wanted.add(name);
      // An explicit subscription is always answered, if only to say that there is no such resource.
      this.#pending.add(name);
    }
    for (const asked of request.resourceNamesUnsubscribe) {
      if (asked === '*') this.#wildcard = false;
      const name = this.#cache.resolve(this.typeUrl, asked);
      this.#wanted.delete(name);
      if (!this.#wildcard) this.#pending.delete(name);
    }
  }

  #isWanted(name: string): boolean {
    return this.#started && (this.#wildcard || this.#wanted.has(name));
  }
}
