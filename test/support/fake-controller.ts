import 'reflect-metadata';
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerDuplexStream, type sendUnaryData, status } from '@grpc/grpc-js';
import { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type Resource,
} from '../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';

type Stream = ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

const NAME = 'aquifer-controller.aquifer-system.svc';
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** A self-signed certificate for the controller's name, which is its own CA. */
export async function selfSigned(): Promise<{ certificate: string; key: string }> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=test controller',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true),
      new SubjectAlternativeNameExtension([{ type: 'dns', value: NAME }]),
    ],
  });
  const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    certificate: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
  };
}

/** A controller of one node, in this process and on port 0: says what the test tells it to, remembers what it was told. */
export class FakeController {
  readonly directory = mkdtempSync(join(tmpdir(), 'aquifer-sync-'));
  /** Of all streams, in the order of arrival. */
  readonly requests: DeltaDiscoveryRequest[] = [];
  readonly tokens: string[] = [];
  /** When set, a call with another token is refused. */
  token: string | null = null;
  port = 0;
  #server: Server | null = null;
  #stream: Stream | null = null;
  #nonce = 0;
  readonly #arrivals = new EventEmitter();

  /** The parts of an agent's configuration that lead here. */
  get config() {
    return {
      node: 'node-1',
      stateDir: this.directory,
      controller: {
        address: `127.0.0.1:${this.port}`,
        caFile: join(this.directory, 'ca.pem'),
        tokenFile: join(this.directory, 'token'),
        serverName: NAME,
      },
    };
  }

  /** With a certificate of its own each time, which it also writes as the CA file unless told not to. */
  async start({ writeCa = true } = {}): Promise<void> {
    const { certificate, key } = await selfSigned();
    if (writeCa) writeFileSync(this.config.controller.caFile, certificate);
    if (!existsSync(this.config.controller.tokenFile)) writeFileSync(this.config.controller.tokenFile, 'token-1\n');
    const server = new Server();
    server.register(
      '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
      (stream: Stream) => this.#serve(stream),
      (response: DeltaDiscoveryResponse) => Buffer.from(toBinary(DeltaDiscoveryResponseSchema, response)),
      (bytes: Buffer) => fromBinary(DeltaDiscoveryRequestSchema, bytes),
      'bidi',
    );
    const pair = { cert_chain: Buffer.from(certificate), private_key: Buffer.from(key) };
    const credentials = ServerCredentials.createSsl(null, [pair]);
    this.port = await new Promise((resolve, reject) => {
      const bound: sendUnaryData<number> = (error, port) => (error === null ? resolve(port ?? 0) : reject(error));
      server.bindAsync(`127.0.0.1:${this.port}`, credentials, bound as (error: Error | null, port: number) => void);
    });
    this.#server = server;
  }

  /** Ends all connections at once; `start` comes back on the same port. */
  stop(): void {
    this.#stream = null;
    this.#server?.forceShutdown();
    this.#server = null;
  }

  dispose(): void {
    this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Ends the stream alone. */
  hangUp(): void {
    this.#stream?.end();
    this.#stream = null;
  }

  get connected(): boolean {
    return this.#stream !== null;
  }

  /** Returns the nonce. A version that ends in "+" says that more of the same batch follows. */
  send(typeUrl: string, resources: Resource[], removedResources: string[] = [], systemVersionInfo = '1'): string {
    const nonce = String(++this.#nonce);
    const response = { typeUrl, resources, removedResources, nonce, systemVersionInfo };
    this.#stream?.write(create(DeltaDiscoveryResponseSchema, response));
    return nonce;
  }

  /** The ACK or NACK of a response. */
  answer(nonce: string): Promise<DeltaDiscoveryRequest> {
    return this.#request(({ responseNonce }) => responseNonce === nonce, `an answer to ${nonce}`);
  }

  /** The first request of a type since `from`. */
  subscription(typeUrl: string, from = 0): Promise<DeltaDiscoveryRequest> {
    const since = new Set(this.requests.slice(0, from));
    const wanted = (request: DeltaDiscoveryRequest) =>
      request.typeUrl === typeUrl && request.node !== undefined && !since.has(request);
    return this.#request(wanted, `a subscription to ${typeUrl}`);
  }

  async #request(wanted: (request: DeltaDiscoveryRequest) => boolean, what: string): Promise<DeltaDiscoveryRequest> {
    for (;;) {
      const found = this.requests.find(wanted);
      if (found !== undefined) return found;
      const signal = AbortSignal.timeout(15_000);
      await once(this.#arrivals, 'request', { signal }).catch((cause: unknown) => {
        throw new Error(`the client did not send ${what}`, { cause });
      });
    }
  }

  #serve(stream: Stream): void {
    const [authorization] = stream.metadata.get('authorization');
    const token = String(authorization).replace(/^Bearer /, '');
    this.tokens.push(token);
    stream.on('error', () => {});
    if (this.token !== null && token !== this.token) {
      stream.emit('error', { code: status.UNAUTHENTICATED, details: 'the token is not known' });
      return;
    }
    this.#stream = stream;
    stream.on('data', (request: DeltaDiscoveryRequest) => {
      this.requests.push(request);
      this.#arrivals.emit('request');
    });
  }
}
