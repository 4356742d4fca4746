import { readFileSync } from 'node:fs';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials, Metadata } from '@grpc/grpc-js';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import type { Config } from '../config/schema.ts';
import type { SyncLimits } from './limits.ts';

const METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';

export type AdsStream = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** One connection to the controller; made anew for each attempt, so that trust bundle and token are the current ones. */
export class Channel {
  readonly #client: Client;
  readonly #metadata = new Metadata();
  readonly #connectTimeoutMs: number;

  /** Throws when the CA or the token file cannot be read. */
  constructor(controller: Config['controller'], limits: SyncLimits) {
    this.#connectTimeoutMs = limits.connectTimeoutMs;
    this.#metadata.set('authorization', `Bearer ${readFileSync(controller.tokenFile, 'utf8').trim()}`);
    this.#client = new Client(controller.address, credentials.createSsl(readFileSync(controller.caFile)), {
      'grpc.ssl_target_name_override': controller.serverName,
      'grpc.default_authority': controller.serverName,
      'grpc.keepalive_time_ms': limits.keepaliveTimeMs,
      'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
      'grpc.max_receive_message_length': limits.responseBytes,
      // One channel is one attempt: the pauses between them are ours, and no proxy stands between node and controller.
      'grpc.enable_retries': 0,
      'grpc.enable_http_proxy': 0,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': limits.connectTimeoutMs,
    });
  }

  /** Rejects when the connection is not there in time; the stream's own error says more than a deadline would. */
  async open(): Promise<AdsStream> {
    await new Promise<void>((resolve, reject) => {
      const late = (error?: Error) => {
        if (error === undefined) resolve();
        else reject(new Error(`not connected within ${this.#connectTimeoutMs} ms`, { cause: error }));
      };
      this.#client.waitForReady(Date.now() + this.#connectTimeoutMs, late);
    });
    return this.#client.makeBidiStreamRequest<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
      METHOD,
      (request) => Buffer.from(toBinary(DeltaDiscoveryRequestSchema, request)),
      (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
      this.#metadata,
    );
  }

  close(): void {
    this.#client.close();
  }
}
