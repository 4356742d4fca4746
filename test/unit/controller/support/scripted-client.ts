import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import type { DeltaDiscoveryResponse } from '../../../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../../../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { eventually } from '../../../support/eventually.ts';

const PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';

export interface RequestInit {
  node?: string;
  typeUrl?: string;
  subscribe?: string[];
  unsubscribe?: string[];
  versions?: Record<string, string>;
  nonce?: string;
  error?: string;
}

/** An agent that does exactly what a test says. */
export class ScriptedClient {
  readonly responses: DeltaDiscoveryResponse[] = [];
  status: grpc.StatusObject | null = null;
  readonly #client: grpc.Client;
  readonly #call: grpc.ClientDuplexStream<Buffer, Buffer>;
  #taken = 0;

  constructor(port: number, caCertificate: string, token: string | null) {
    this.#client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createSsl(Buffer.from(caCertificate)), {
      'grpc.ssl_target_name_override': 'aquifer-controller.aquifer-system.svc',
    });
    const metadata = new grpc.Metadata();
    if (token !== null) metadata.set('authorization', `Bearer ${token}`);
    const same = (bytes: Buffer) => bytes;
    this.#call = this.#client.makeBidiStreamRequest(PATH, same, same, metadata);
    this.#call.on('data', (bytes: Buffer) => this.responses.push(fromBinary(DeltaDiscoveryResponseSchema, bytes)));
    this.#call.on('status', (status: grpc.StatusObject) => {
      this.status = status;
    });
    this.#call.on('error', () => {});
  }

  send({ node, typeUrl = '', subscribe = [], unsubscribe = [], versions = {}, nonce = '', error }: RequestInit): void {
    const message = create(DeltaDiscoveryRequestSchema, {
      typeUrl,
      resourceNamesSubscribe: subscribe,
      resourceNamesUnsubscribe: unsubscribe,
      initialResourceVersions: versions,
      responseNonce: nonce,
      ...(node === undefined ? {} : { node: { id: node } }),
      ...(error === undefined ? {} : { errorDetail: { code: 3, message: error } }),
    });
    this.#call.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message)));
  }

  /** The next response that has not been taken yet. */
  async next(): Promise<DeltaDiscoveryResponse> {
    const response = await eventually('a response', () => this.responses[this.#taken], 5000);
    this.#taken++;
    return response;
  }

  ack({ typeUrl, nonce }: DeltaDiscoveryResponse): void {
    this.send({ typeUrl, nonce });
  }

  async ended(): Promise<grpc.StatusObject> {
    return await eventually('the end of the stream', () => this.status ?? undefined, 5000);
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }
}
