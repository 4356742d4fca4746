import { renameSync, statSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Request {
  method: string;
  path: string;
  query: URLSearchParams;
  body: string;
  /** Came by the Unix socket, which only root opens. */
  trusted: boolean;
}

/** JSON unless `contentType` says otherwise; a function takes the response over (streams). */
export type Reply = { status: number; body: unknown; contentType?: string } | ((response: ServerResponse) => void);
export type Handler = (request: Request) => Reply | Promise<Reply>;

/** One HTTP endpoint with a handler of its own. Bodies are bounded; a handler that throws answers 500. */
export class HttpEndpoint {
  readonly #server: Server;
  #socketPath: string | null = null;
  #socketInode = 0;

  /** `onDropped`: a connection over `adminConnections` was closed unanswered. */
  constructor(
    handler: Handler,
    limits: { adminBodyBytes: number; adminConnections: number },
    trusted: boolean,
    onDropped: () => void = () => {},
  ) {
    this.#server = createServer((request, response) => {
      serve(request, response, handler, limits.adminBodyBytes, trusted).catch((error: unknown) => {
        if (response.headersSent) response.destroy();
        else send(response, 500, { error: error instanceof Error ? error.message : String(error) }, 'application/json');
      });
    });
    this.#server.requestTimeout = 10_000;
    this.#server.headersTimeout = 10_000;
    this.#server.maxConnections = limits.adminConnections;
    this.#server.on('drop', onDropped);
  }

  /** Shares the port with a predecessor that has not gone yet. Resolves to the port. */
  async listenTcp(address: string, port: number): Promise<number> {
    await this.#listen({ host: address, port, reusePort: true });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Binds aside and renames over a predecessor's socket, so that at every moment one of the two answers. */
  async listenUnix(path: string): Promise<void> {
    const aside = `${path}.${process.pid}`;
    try {
      unlinkSync(aside);
    } catch {}
    const mask = process.umask(0o177);
    try {
      await this.#listen({ path: aside });
    } finally {
      process.umask(mask);
    }
    renameSync(aside, path);
    this.#socketPath = path;
    this.#socketInode = statSync(path).ino;
  }

  /** Stops answering; a socket path that a successor has taken stays. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#socketPath === null) return;
    try {
      if (statSync(this.#socketPath).ino === this.#socketInode) unlinkSync(this.#socketPath);
    } catch {}
    this.#socketPath = null;
  }

  #listen(options: { host: string; port: number; reusePort: boolean } | { path: string }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(options, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  handler: Handler,
  maxBytes: number,
  trusted: boolean,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://agent');
  const body = await readBody(request, maxBytes);
  if (body === null) {
    send(response, 413, { error: `body is larger than ${maxBytes} bytes` }, 'application/json');
    request.destroy();
    return;
  }
  const reply = await handler({
    method: request.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    body,
    trusted,
  });
  if (typeof reply === 'function') reply(response);
  else send(response, reply.status, reply.body, reply.contentType ?? 'application/json');
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<string | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, status: number, body: unknown, contentType: string): void {
  const text = contentType === 'application/json' ? `${JSON.stringify(body)}\n` : String(body);
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
