/** JSON and NDJSON over a Unix socket: how the lab talks to the controller, the agents and itself. */
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import { codeOf, LabError } from './errors.ts';

const DEFAULT_TIMEOUT_MS = 15_000;

export interface JsonReply<T> {
  status: number;
  body: T;
}

export interface CallOptions {
  method?: string;
  body?: string;
  contentType?: string;
  timeoutMs?: number;
}

/** One request; resolves with any status. Throws `LAB_API` when nobody answers. */
export function callJson<T>(socketPath: string, path: string, options: CallOptions = {}): Promise<JsonReply<T>> {
  return new Promise((resolve, reject) => {
    const method = options.method ?? (options.body === undefined ? 'GET' : 'POST');
    const fail = (cause: Error): void => reject(unanswered(socketPath, method, path, cause));
    const call = request({ socketPath, path, method, headers: headersFor(options) }, (response) => {
      readText(response).then((text) => {
        try {
          resolve({ status: response.statusCode ?? 0, body: (text === '' ? null : JSON.parse(text)) as T });
        } catch (cause) {
          fail(cause as Error);
        }
      }, fail);
    });
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    call.setTimeout(timeoutMs, () => call.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    call.on('error', fail);
    call.end(options.body);
  });
}

/** As `callJson`; throws `LAB_API` on any status but 2xx. */
export async function getJson<T>(socketPath: string, path: string, options: CallOptions = {}): Promise<T> {
  const { status, body } = await callJson<T>(socketPath, path, options);
  if (status >= 200 && status < 300) return body;
  throw new LabError('LAB_API', `${path}: ${status} ${JSON.stringify(body)}`);
}

/** Follows an NDJSON stream; `onEnd` is called once, whatever ends it. Returns how to stop. */
export function followNdjson(
  socketPath: string,
  path: string,
  onRecord: (record: unknown) => void,
  onEnd: (error: Error | null) => void,
): () => void {
  let ended = false;
  const end = (error: Error | null): void => {
    if (ended) return;
    ended = true;
    onEnd(error);
  };
  const call: ClientRequest = request({ socketPath, path }, (response) => {
    if (response.statusCode !== 200) {
      response.resume();
      end(new LabError('LAB_API', `${path}: ${response.statusCode}`));
      return;
    }
    splitLines(response, (line) => onRecord(JSON.parse(line)));
    response.on('close', () => end(null));
    response.on('error', end);
  });
  call.on('error', end);
  call.end();
  return () => {
    ended = true;
    call.destroy();
  };
}

/** Calls `onLine` for each non-empty line. */
export function splitLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(line);
  });
}

/** Serves handlers by `METHOD /path`; what they return is sent as JSON, what they throw as 400 with `error` and `hint`. */
export function serveJson(
  routes: Readonly<Record<string, (query: URLSearchParams, response: ServerResponse) => unknown>>,
): Server {
  return createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://lab');
    const route = routes[`${request.method} ${url.pathname}`];
    if (route === undefined) {
      send(response, 404, { error: `no ${request.method} ${url.pathname}` });
      return;
    }
    Promise.resolve()
      .then(() => route(url.searchParams, response))
      .then(
        (value) => {
          if (value !== undefined) send(response, 200, value);
        },
        (error: unknown) => send(response, 400, describe(error)),
      );
  });
}

function describe(error: unknown): { error: string; hint: string | null } {
  if (error instanceof LabError) return { error: error.message, hint: error.hint };
  return { error: error instanceof Error ? error.message : String(error), hint: null };
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

function headersFor(options: CallOptions): Record<string, string | number> {
  if (options.body === undefined) return {};
  return {
    'content-type': options.contentType ?? 'application/json',
    'content-length': Buffer.byteLength(options.body),
  };
}

function readText(stream: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('end', () => resolve(text));
    stream.on('error', reject);
  });
}

function unanswered(socketPath: string, method: string, path: string, cause: Error): LabError {
  const absent = ['ENOENT', 'ECONNREFUSED'].includes(codeOf(cause));
  return new LabError('LAB_API', `${method} ${path} on ${socketPath}: ${cause.message}`, {
    cause,
    ...(absent ? { hint: 'is the lab up? see: aquifer lab list' } : {}),
  });
}
