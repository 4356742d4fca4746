import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { Logger } from 'pino';
import type { ControllerMetrics } from './metrics.ts';

/** A request body larger than this is refused (413). */
const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** A watcher that has not taken this much is disconnected; it can come back and list again. */
const MAX_WATCH_BUFFER_BYTES = 16 * 1024 * 1024;

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'SYNCED';
  object?: unknown;
}

export interface ObjectQuery {
  kinds: ReadonlySet<string> | null;
  namespace: string | null;
  name: string | null;
  /** `desired`: without what the cluster reports. */
  view: 'desired' | 'effective';
}

/** What stands behind the HTTP API. */
export interface ApiBackend {
  apply(layer: string, text: string, dryRun: boolean): { applied: boolean; results: unknown[] };
  delete(layer: string, text: string): { applied: boolean; results: unknown[] };
  objects(query: ObjectQuery): unknown[];
  /** Sends what is there, SYNCED, then changes; returns how to stop. */
  watch(query: ObjectQuery, send: (event: WatchEvent) => void): () => void;
  status(): unknown;
  snapshot(node: string): unknown;
  logLevel(level?: string): string | null;
}

type Handler = (request: IncomingMessage, url: URL, response: ServerResponse) => Promise<void> | void;

class HttpError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * The controller's own API, JSON over a Unix socket (0600): `POST /v1/apply`, `POST /v1/delete`, `GET /v1/objects`,
 * `GET /v1/watch` (NDJSON), `GET /v1/status`, `GET /v1/snapshot?node=`, `GET|PUT /v1/log-level?level=`.
 *
 * `objects` and `watch` take `kind` or `kinds` (comma separated), `namespace`, `name` and `view=desired|effective`
 * (default effective: the layer `cluster` on top of what users asked for).
 */
export class HttpApi {
  readonly #backend: ApiBackend;
  readonly #metrics: ControllerMetrics;
  readonly #log: Logger;
  readonly #server: Server;
  readonly #routes: Readonly<Record<string, Handler>>;

  constructor(backend: ApiBackend, metrics: ControllerMetrics, log: Logger) {
    this.#backend = backend;
    this.#metrics = metrics;
    this.#log = log;
    this.#routes = {
      'POST /v1/apply': async (request, url, response) => {
        const dryRun = url.searchParams.get('dryRun') === 'true';
        const { applied, results } = backend.apply(layerOf(url), await readBody(request), dryRun);
        reply(response, applied ? 200 : 422, { results });
      },
      'POST /v1/delete': async (request, url, response) => {
        const { applied, results } = backend.delete(layerOf(url), await readBody(request));
        reply(response, applied ? 200 : 422, { results });
      },
      'GET /v1/objects': (_request, url, response) => reply(response, 200, { items: backend.objects(queryOf(url)) }),
      'GET /v1/watch': (_request, url, response) => this.#watch(queryOf(url), response),
      'GET /v1/status': (_request, _url, response) => reply(response, 200, backend.status()),
      'GET /v1/snapshot': (_request, url, response) =>
        reply(response, 200, backend.snapshot(url.searchParams.get('node') ?? '')),
      'GET /v1/log-level': (_request, _url, response) => reply(response, 200, { level: backend.logLevel() }),
      'PUT /v1/log-level': async (request, url, response) => {
        const wanted = url.searchParams.get('level') ?? levelOf(await readBody(request));
        const level = backend.logLevel(wanted);
        if (level === null) throw new HttpError(400, `${JSON.stringify(wanted)} is no log level`);
        reply(response, 200, { level });
      },
    };
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  async listen(socket: string): Promise<void> {
    // A socket file that a killed controller left would refuse the bind.
    rmSync(socket, { force: true });
    this.#server.listen(socket);
    await once(this.#server, 'listening');
    chmodSync(socket, 0o600);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://controller');
      const handler = this.#routes[`${request.method} ${url.pathname}`];
      if (handler === undefined) throw new HttpError(404, `no ${request.method} ${url.pathname}`);
      await handler(request, url, response);
    } catch (error) {
      const status = error instanceof HttpError ? error.status : 500;
      if (status === 413) this.#metrics.limits.inc({ limit: 'request_body' });
      if (status === 500) this.#log.error({ err: error, url: request.url }, 'request failed');
      if (response.headersSent) response.destroy();
      else reply(response, status, { error: error instanceof Error ? error.message : String(error) });
    }
  }

  #watch(query: ObjectQuery, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    let isOver = false;
    const stop = this.#backend.watch(query, (event) => {
      if (isOver) return;
      response.write(`${JSON.stringify(event)}\n`);
      if (response.writableLength <= MAX_WATCH_BUFFER_BYTES) return;
      isOver = true;
      this.#metrics.limits.inc({ limit: 'watch_buffer' });
      this.#log.warn({ bytes: response.writableLength }, 'disconnected a watcher that does not read');
      response.destroy();
    });
    response.on('close', () => {
      isOver = true;
      stop();
    });
  }
}

function layerOf(url: URL): string {
  const layer = url.searchParams.get('layer') ?? 'applied';
  if (layer !== 'applied' && layer !== 'cluster') throw new HttpError(400, 'layer is applied or cluster');
  return layer;
}

function queryOf({ searchParams }: URL): ObjectQuery {
  const kinds = searchParams.get('kinds') ?? searchParams.get('kind') ?? '';
  const view = searchParams.get('view') ?? 'effective';
  if (view !== 'desired' && view !== 'effective') throw new HttpError(400, 'view is desired or effective');
  return {
    kinds: kinds === '' ? null : new Set(kinds.split(',')),
    namespace: searchParams.get('namespace'),
    name: searchParams.get('name'),
    view,
  };
}

/** `{"level": "debug"}`, or the bare word. */
function levelOf(body: string): string {
  try {
    const parsed = JSON.parse(body) as { level?: unknown } | string | null;
    if (typeof parsed === 'string') return parsed;
    return typeof parsed?.level === 'string' ? parsed.level : '';
  } catch {
    return body.trim();
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new HttpError(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
