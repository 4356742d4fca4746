import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import type { ZodType } from 'zod';
import { CliError, codeOf } from './errors.ts';

const REPLY_TIMEOUT_MS = 15_000;

/** Who is asked: a Unix socket, and the words that name its owner in errors (`the controller`). */
export interface Peer {
  name: string;
  socketPath: string;
}

export interface Reply<T> {
  status: number;
  body: T;
}

interface CallOptions {
  method?: 'GET' | 'POST';
  body?: string;
  /** Statuses that carry the body `schema` describes; default 200 alone. */
  accept?: readonly number[];
}

/** One request for JSON. Throws `CliError` when nobody answers, on another status, and on a body that does not fit. */
export async function callJson<T>(
  peer: Peer,
  path: string,
  schema: ZodType<T>,
  options: CallOptions = {},
): Promise<Reply<T>> {
  const response = await open(peer, path, options);
  const text = await textOf(response);
  const status = response.statusCode ?? 0;
  if (!(options.accept ?? [200]).includes(status)) throw refused(peer, path, status, text);
  const parsed = schema.safeParse(parseJson(text));
  if (parsed.success) return { status, body: parsed.data };
  const issue = parsed.error.issues[0];
  throw new CliError(`${peer.name} gave an answer to ${path} that this command does not understand`, {
    hint: `are both of one version? ${issue === undefined ? '' : `${issue.path.join('.')}: ${issue.message}`}`.trim(),
  });
}

/** Lines of a stream that goes on until `signal` aborts or the peer ends it. */
export async function* followLines(peer: Peer, path: string, signal: AbortSignal): AsyncGenerator<string> {
  try {
    const response = await open(peer, path, {}, signal);
    if (response.statusCode !== 200) {
      throw refused(peer, path, response.statusCode ?? 0, await textOf(response));
    }
    for await (const line of createInterface({ input: response })) if (line !== '') yield line;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function open(peer: Peer, path: string, options: CallOptions, signal?: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { socketPath } = peer;
    const method = options.method ?? 'GET';
    const call = request({ socketPath, path, method, ...(signal === undefined ? {} : { signal }) }, (response) => {
      call.setTimeout(0);
      resolve(response);
    });
    call.setTimeout(REPLY_TIMEOUT_MS, () => call.destroy(new Error(`no answer in ${REPLY_TIMEOUT_MS / 1000} s`)));
    call.on('error', (cause) => reject(unanswered(peer, cause)));
    call.end(options.body);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return text;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'is it running? aquifer lab status tells',
  ECONNREFUSED: 'its process has ended; aquifer lab status tells more',
  EACCES: 'its socket belongs to root; run the command as root',
};

function unanswered(peer: Peer, cause: Error): CliError {
  const hint = HINTS[codeOf(cause)];
  return new CliError(`${peer.name} does not answer on ${peer.socketPath}: ${cause.message}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}

function refused(peer: Peer, path: string, status: number, text: string): CliError {
  const body = parseJson(text);
  const reason = typeof body === 'object' && body !== null && 'error' in body ? String(body.error) : text.trim();
  return new CliError(`${peer.name} answered ${path} with status ${status}${reason === '' ? '' : `: ${reason}`}`);
}
