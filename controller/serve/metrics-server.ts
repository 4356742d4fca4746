import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { Registry } from 'prom-client';

/** `host:port`, `[v6]:port` or `:port` (all addresses). */
export function parseHostPort(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon).replace(/^\[|\]$/g, '');
  return { host: host === '' ? '::' : host, port: Number(text.slice(colon + 1)) };
}

/** Serves `GET /metrics`. */
export async function serveMetrics(registry: Registry, listen: string): Promise<Server> {
  const server = createServer(async (request, response) => {
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    const body = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType }).end(body);
  });
  server.listen(parseHostPort(listen));
  await once(server, 'listening');
  return server;
}
