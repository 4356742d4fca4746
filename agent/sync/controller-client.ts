import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
} from '../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import type { Config } from '../config/schema.ts';
import { Backoff } from './backoff.ts';
import { type Changes, mergeChanges, noChanges, type Rejection } from './changes.ts';
import { type AdsStream, Channel } from './channel.ts';
import { SYNC_LIMITS, type SyncLimits } from './limits.ts';
import { ResourceTable } from './resource-table.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import { StateKeeper } from './state-keeper.ts';
import { TYPE_ADDRESS, TYPE_AUTHORIZATION, TYPES } from './types.ts';

export interface ControllerClientParts {
  store: SnapshotStore;
  config: Pick<Config, 'node' | 'controller' | 'stateDir'>;
  logger: Logger;
  limits?: SyncLimits;
  /** In [0, 1). */
  random?: () => number;
}

export interface ClientState {
  phase: 'idle' | 'connecting' | 'connected' | 'waiting' | 'closed';
  /** Workloads and policies were received in full at least once, be it in an earlier life of the agent. */
  synced: boolean;
  lastError: string | null;
  /** Responses since start. */
  acked: number;
  nacked: number;
  /** Streams opened since start. */
  connects: number;
  /** Resources whose newest version was refused. */
  rejections: readonly Rejection[];
}

/**
 * Keeps one delta ADS stream to the controller and the snapshot store up to date with it. Without the controller all
 * stays as it was last; a start without it begins with the state that was saved.
 */
export class ControllerClient {
  readonly #parts: ControllerClientParts;
  readonly #limits: SyncLimits;
  readonly #logger: Logger;
  readonly #table = new ResourceTable();
  readonly #synced = new Set<string>();
  readonly #keeper: StateKeeper;
  readonly #backoff: Backoff;
  #phase: ClientState['phase'] = 'idle';
  #lastError: string | null = null;
  #acked = 0;
  #nacked = 0;
  #connects = 0;
  #channel: Channel | null = null;
  #stream: AdsStream | null = null;
  #arrived: DeltaDiscoveryResponse[] = [];
  /** By type, the parts of a batch of which more will come; they outlive a stream, as the versions they brought do. */
  readonly #unfinished = new Map<string, Changes>();
  #retry: NodeJS.Timeout | null = null;

  constructor(parts: ControllerClientParts) {
    this.#parts = parts;
    this.#limits = parts.limits ?? SYNC_LIMITS;
    this.#logger = parts.logger;
    const state = { resources: () => this.#table.resources(), synced: this.#synced };
    this.#keeper = new StateKeeper(parts.config.stateDir, state, this.#limits, parts.logger);
    this.#backoff = new Backoff(this.#limits.backoffMinMs, this.#limits.backoffMaxMs, parts.random ?? Math.random);
  }

  get state(): ClientState {
    return {
      phase: this.#phase,
      synced: this.#synced.has(TYPE_ADDRESS) && this.#synced.has(TYPE_AUTHORIZATION),
      lastError: this.#lastError,
      acked: this.#acked,
      nacked: this.#nacked,
      connects: this.#connects,
      rejections: [...this.#table.rejections.values()],
    };
  }

  /** The saved state is live when this returns; the controller comes when it comes. */
  start(): void {
    if (this.#phase !== 'idle') return;
    const saved = this.#keeper.load();
    if (saved.length > 0) {
      this.#receive(saved);
      const { version, workloads, policies } = this.#parts.store.current;
      this.#logger.info({ version, workloads: workloads.size, policies: policies.size }, 'began with the saved state');
    }
    this.#connect();
  }

  /** Ends the stream and saves what has not been saved. The snapshot stays. */
  async close(): Promise<void> {
    this.#phase = 'closed';
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#hangUp();
    await this.#keeper.flush();
  }

  #connect(): void {
    this.#phase = 'connecting';
    try {
      const channel = new Channel(this.#parts.config.controller, this.#limits);
      this.#channel = channel;
      channel.open().then(
        (stream) => this.#opened(channel, stream),
        (error: unknown) => this.#failed(channel, error),
      );
    } catch (error) {
      this.#failed(null, error);
    }
  }

  #opened(channel: Channel, stream: AdsStream): void {
    if (this.#channel !== channel) {
      stream.on('error', () => {});
      stream.cancel();
      return;
    }
    this.#stream = stream;
    this.#phase = 'connected';
    this.#connects++;
    stream.on('data', (response: DeltaDiscoveryResponse) => this.#arrive(stream, response));
    stream.on('error', (error) => this.#failed(channel, error));
    stream.on('end', () => this.#failed(channel, new Error('the controller ended the stream')));
    for (const typeUrl of TYPES) this.#subscribe(stream, typeUrl);
  }

  /** An empty subscription is the wildcard; the versions tell what need not be sent again. */
  #subscribe(stream: AdsStream, typeUrl: string): void {
    const node = { id: this.#parts.config.node };
    const initialResourceVersions = this.#table.versions(typeUrl);
    stream.write(create(DeltaDiscoveryRequestSchema, { node, typeUrl, initialResourceVersions }));
  }

  #failed(channel: Channel | null, error: unknown): void {
    if (this.#phase === 'closed' || this.#channel !== channel) return;
    this.#hangUp();
    this.#phase = 'waiting';
    this.#lastError = error instanceof Error ? error.message : String(error);
    const delayMs = this.#backoff.nextMs();
    const { address } = this.#parts.config.controller;
    this.#logger.warn({ err: error, address, delayMs }, 'no connection to the controller');
    this.#retry = setTimeout(() => this.#connect(), delayMs);
  }

  #hangUp(): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.removeAllListeners();
    // A cancelled stream still reports that it was.
    stream?.on('error', () => {});
    stream?.cancel();
    this.#channel?.close();
    this.#channel = null;
  }

  /** Responses that came in one read of the socket go live together, on the tick on which they came. */
  #arrive(stream: AdsStream, response: DeltaDiscoveryResponse): void {
    this.#backoff.reset();
    this.#arrived.push(response);
    if (this.#arrived.length === 1) setImmediate(() => this.#flush(stream));
  }

  #flush(stream: AdsStream): void {
    const responses = this.#arrived;
    this.#arrived = [];
    if (this.#phase === 'closed') return;
    const rejected = this.#receive(responses);
    this.#keeper.touch();
    if (this.#stream !== stream) return;
    for (const [i, response] of responses.entries()) this.#answer(stream, response, rejected[i] ?? []);
  }

  /** What was refused in each of the responses. */
  #receive(responses: readonly DeltaDiscoveryResponse[]): Rejection[][] {
    const complete = noChanges();
    const rejected = responses.map((response) => {
      const changes = this.#unfinished.getOrInsertComputed(response.typeUrl, noChanges);
      const refused = this.#table.receive(response, changes);
      if (!hasMore(response)) {
        this.#unfinished.delete(response.typeUrl);
        mergeChanges(complete, changes);
      }
      return refused;
    });
    for (const typeUrl of complete.synced) this.#synced.add(typeUrl);
    for (const { typeUrl, name, reason } of rejected.flat()) {
      this.#logger.error({ code: 'MESH_SYNC_REJECTED', typeUrl, resource: name, reason }, 'resource refused');
    }
    if (complete.synced.size > 0) this.#parts.store.apply(complete);
    return rejected;
  }

  /** Only now, so that an acknowledged policy is one in force. */
  #answer(stream: AdsStream, { typeUrl, nonce }: DeltaDiscoveryResponse, rejected: readonly Rejection[]): void {
    const request = create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce });
    if (rejected.length === 0) {
      this.#acked++;
    } else {
      this.#nacked++;
      const message = rejected.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
      this.#lastError = message.slice(0, this.#limits.nackCharacters);
      request.errorDetail = {
        $typeName: 'envoy.service.discovery.v3.Status',
        code: status.INVALID_ARGUMENT,
        message: this.#lastError,
      };
    }
    stream.write(request);
  }
}

/**
 * A large state comes in several responses. Until the last one it does not go live, or a workload would be there before
 * the Services that its policies name. Our controller marks all but the last; xDS itself has no such mark.
 */
function hasMore({ systemVersionInfo }: DeltaDiscoveryResponse): boolean {
  return systemVersionInfo.endsWith('+');
}
