import { fromBinary, toBinary } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import type { Logger } from 'pino';
import {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '../proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { AdsStream, type AgentState } from './ads-stream.ts';
import type { ControllerMetrics } from './metrics.ts';
import type { ResourceCache } from './resource-cache.ts';
import type { TokenFile } from './tokens.ts';
import type { TypeUrl } from './types.ts';

type Call = grpc.ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** An agent being replaced and its successor are connected at once; more than that are leftovers. */
const MAX_STREAMS_PER_NODE = 4;
/** A request may list the versions of all that an agent holds. */
const MAX_REQUEST_BYTES = 16 * 1024 * 1024;

const { method } = AggregatedDiscoveryService;

const SERVICE = {
  DeltaAggregatedResources: {
    path: `/${AggregatedDiscoveryService.typeName}/${method.deltaAggregatedResources.name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message: DeltaDiscoveryRequest) => Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message)),
    requestDeserialize: (bytes: Buffer) => fromBinary(DeltaDiscoveryRequestSchema, bytes),
    responseSerialize: (message: DeltaDiscoveryResponse) =>
      Buffer.from(toBinary(DeltaDiscoveryResponseSchema, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
  },
} as const satisfies grpc.ServiceDefinition;

/** What `GET /v1/status` says of an agent. */
export interface AgentStatus extends AgentState {
  node: string;
  connected: boolean;
  /** The update it holds completely; -1: none. */
  snapshotVersion: number;
}

export interface AdsOptions {
  /** `host:port`; port 0: any. */
  listen: string;
  certificate: string;
  privateKey: string;
  tokens: TokenFile;
  cache: ResourceCache;
  metrics: ControllerMetrics;
  log: Logger;
}

/** The gRPC server that agents connect to. */
export class AdsServer {
  readonly #options: AdsOptions;
  readonly #server: grpc.Server;
  readonly #streams = new Map<string, { stream: AdsStream; end: (code: grpc.status, details: string) => void }[]>();
  readonly #agents = new Map<string, AgentState>();

  constructor(options: AdsOptions) {
    this.#options = options;
    this.#server = new grpc.Server({
      'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
      'grpc.max_concurrent_streams': 32,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
    this.#server.addService(SERVICE, { DeltaAggregatedResources: (call: Call) => this.#accept(call) });
  }

  /** Resolves with the port. */
  async listen(): Promise<number> {
    const { listen, certificate, privateKey } = this.#options;
    const credentials = grpc.ServerCredentials.createSsl(
      null,
      [{ cert_chain: Buffer.from(certificate), private_key: Buffer.from(privateKey) }],
      false,
    );
    return await new Promise((resolve, reject) => {
      this.#server.bindAsync(listen, credentials, (error, port) => (error === null ? resolve(port) : reject(error)));
    });
  }

  /** Ends all streams; agents keep what they have and come back. */
  close(): void {
    for (const { end } of [...this.#streams.values()].flat()) end(grpc.status.UNAVAILABLE, 'the controller stops');
    this.#server.forceShutdown();
  }

  get connectedAgents(): number {
    return this.#streams.size;
  }

  /** Nodes that have a token, whether they ever connected or not. */
  get agents(): AgentStatus[] {
    const nodes = [...this.#options.tokens.nodes.union(this.#streams)].sort();
    return nodes.map((node) => {
      const streams = this.#streams.get(node) ?? [];
      const connected = streams.length > 0;
      const held = Math.min(...streams.map(({ stream }) => stream.ackedSequence));
      return { node, connected, ...this.#stateOf(node), snapshotVersion: connected ? held : -1 };
    });
  }

  #stateOf(node: string): AgentState {
    return this.#agents.getOrInsertComputed(node, () => ({ acked: 0, nacked: 0, lastError: null }));
  }

  /** Whether every stream of the node has confirmed the resource in its present version. */
  holds(node: string, typeUrl: TypeUrl, name: string): boolean {
    const streams = this.#streams.get(node) ?? [];
    return streams.length > 0 && streams.every(({ stream }) => stream.holds(typeUrl, name));
  }

  #accept(call: Call): void {
    const { tokens, cache, metrics, log } = this.#options;
    const end = (code: grpc.status, details: string) => {
      call.emit('error', Object.assign(new Error(details), { code, details }));
    };
    const [authorization] = call.metadata.get('authorization');
    const token = /^Bearer (.+)$/i.exec(String(authorization ?? ''))?.[1];
    const node = token === undefined ? null : tokens.nodeOf(token);
    if (node === null) {
      log.warn({ peer: call.getPeer() }, 'refused a call without a valid token');
      end(grpc.status.UNAUTHENTICATED, 'a bearer token of a node is needed');
      return;
    }
    const stream = new AdsStream(node, this.#stateOf(node), { cache, channel: call, metrics, log });
    const entry = { stream, end };
    const streams = this.#streams.getOrInsertComputed(node, () => []);
    streams.push(entry);
    if (streams.length > MAX_STREAMS_PER_NODE) {
      metrics.limits.inc({ limit: 'streams_per_node' });
      streams[0]?.end(grpc.status.RESOURCE_EXHAUSTED, `more than ${MAX_STREAMS_PER_NODE} streams of one node`);
    }
    log.info({ node, peer: call.getPeer() }, 'agent connected');
    call.on('data', (request: DeltaDiscoveryRequest) => {
      const id = request.node?.id ?? '';
      if (id !== '' && id !== node) {
        end(grpc.status.PERMISSION_DENIED, `the token is not of node ${id}`);
        return;
      }
      const error = stream.receive(request);
      if (error !== null) end(grpc.status.INVALID_ARGUMENT, error);
    });
    call.on('drain', () => stream.drained());
    const leave = () => {
      stream.close();
      this.#leave(node, entry);
    };
    call.on('end', () => {
      leave();
      call.end();
    });
    call.on('cancelled', leave);
    call.on('error', leave);
    call.on('close', leave);
  }

  #leave(node: string, entry: { stream: AdsStream }): void {
    const streams = this.#streams.get(node);
    const at = streams?.findIndex((other) => other.stream === entry.stream) ?? -1;
    if (streams === undefined || at < 0) return;
    streams.splice(at, 1);
    if (streams.length > 0) return;
    this.#streams.delete(node);
    this.#options.metrics.disconnected(node);
    this.#options.log.info({ node }, 'agent disconnected');
  }
}
