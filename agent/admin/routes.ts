import type { Handler, Reply, Request } from './http.ts';
import type { AgentView, FlowSource } from './view.ts';

const PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8';

/** The admin API, on the Unix socket and on loopback. */
export function adminRoutes(view: AgentView): Handler {
  const routes: Record<string, (request: Request) => Reply | Promise<Reply>> = {
    'GET /pods': () => ok(view.pods()),
    'GET /connections': () => ok(view.connections()),
    'GET /config_dump': () => ok(view.configDump()),
    'GET /verdicts': () => ok(view.verdicts()),
    'GET /flows': () => flows(view.flows),
    'GET /version': () => ok(view.version()),
    'GET /logging': ({ query }) => logging(view, query.get('level')),
    'PUT /logging': ({ query }) => logging(view, query.get('level') ?? ''),
    'POST /logging': ({ query }) => logging(view, query.get('level')),
    'POST /drain': (request) => drain(view, request),
    'GET /metrics': async () => ({ status: 200, body: await view.metrics(), contentType: PROMETHEUS }),
    'GET /healthz/ready': () => ready(view),
  };
  return (request) => {
    const route = routes[`${request.method} ${request.path}`];
    if (route !== undefined) return route(request);
    if (request.method === 'GET' && request.path.startsWith('/pods/')) return pod(view, request);
    return fail(404, `no such endpoint: ${request.method} ${request.path}`);
  };
}

/** `/metrics` and Envoy's name for it, on a port that a scraper reaches. */
export function metricsRoutes(view: AgentView): Handler {
  return async ({ method, path }) =>
    method === 'GET' && (path === '/metrics' || path === '/stats/prometheus')
      ? { status: 200, body: await view.metrics(), contentType: PROMETHEUS }
      : fail(404, 'only /metrics and /stats/prometheus are here');
}

export function readinessRoutes(view: AgentView): Handler {
  return ({ method, path }) =>
    method === 'GET' && path === '/healthz/ready' ? ready(view) : fail(404, 'only /healthz/ready is here');
}

function ready(view: AgentView): Reply {
  const missing = view.unready();
  if (missing.length === 0) return { status: 200, body: 'ready\n', contentType: 'text/plain' };
  return { status: 503, body: `not ready: ${missing.join(', ')}\n`, contentType: 'text/plain' };
}

async function pod(view: AgentView, { path, query }: Request): Promise<Reply> {
  const uid = decodeURIComponent(path.slice('/pods/'.length));
  const waitMs = Number(query.get('waitMs') ?? '0');
  if (!Number.isFinite(waitMs) || waitMs < 0) return fail(400, 'waitMs is a number of milliseconds');
  const status = await view.waitForPod(uid, waitMs);
  return status === null ? fail(404, `no pod ${uid} on this node`) : ok(status);
}

function logging(view: AgentView, level: string | null): Reply {
  if (level !== null && !view.setLogLevel(level))
    return fail(400, `unknown level "${level}"; one of trace, debug, info, warn, error, fatal`);
  return ok({ level: view.logLevel() });
}

function drain(view: AgentView, { trusted, body, query }: Request): Reply {
  if (!trusted) return fail(403, 'drain is for the Unix socket only');
  const text =
    query.get('deadlineMs') ?? (body === '' ? null : String((JSON.parse(body) as { deadlineMs?: unknown }).deadlineMs));
  const deadlineMs = text === null ? null : Number(text);
  if (deadlineMs !== null && (!Number.isFinite(deadlineMs) || deadlineMs < 0))
    return fail(400, 'deadlineMs is a number of milliseconds');
  view.drain(deadlineMs);
  return { status: 202, body: { draining: true } };
}

function flows(source: FlowSource): Reply {
  return (response) => {
    const subscriber = {
      write: (line: string): void => {
        response.write(line);
      },
      queuedBytes: () => response.writableLength,
    };
    if (!source.subscribe(subscriber)) {
      response.writeHead(503, { 'content-type': 'application/json' }).end('{"error":"too many readers of /flows"}\n');
      return;
    }
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    response.on('close', () => source.unsubscribe(subscriber));
  };
}

const ok = (body: unknown): Reply => ({ status: 200, body });
const fail = (status: number, error: string): Reply => ({ status, body: { error } });
