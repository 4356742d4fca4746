import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  connectivityState,
  credentials,
  Metadata,
} from '@grpc/grpc-js';
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

  /** The stream, once the connection is there. Rejects with the reason when it fails or takes too long. */
  async open(): Promise<AdsStream> {
    const deadlineMs = Date.now() + this.#connectTimeoutMs;
    for (;;) {
      const state = this.#client.getChannel().getConnectivityState(true);
      if (state === connectivityState.READY) return this.#call();
      // Only a call is told why.
      if (state === connectivityState.TRANSIENT_FAILURE) await once(this.#call({ deadline: deadlineMs }), 'end');
      if (state === connectivityState.SHUTDOWN) throw new Error('the channel was closed');
      await this.#leave(state, deadlineMs);
    }
  }

  close(): void {
    this.#client.close();
  }

  #leave(state: connectivityState, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.getChannel().watchConnectivityState(state, deadlineMs, (late) => {
        if (late === undefined) resolve();
        else reject(new Error(`not connected within ${this.#connectTimeoutMs} ms`, { cause: late }));
      });
    });
  }

  #call(options: CallOptions = {}): AdsStream {
    return this.#client.makeBidiStreamRequest<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
      METHOD,
      (request) => Buffer.from(toBinary(DeltaDiscoveryRequestSchema, request)),
      (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
      this.#metadata,
      options,
    );
  }
}
