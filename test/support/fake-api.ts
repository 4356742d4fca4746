import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Context } from '../../controller/cli/context.ts';
import { PLAIN } from '../../controller/cli/palette.ts';

export interface FakeRequest {
  method: string;
  path: string;
  body: string;
}

/** Gives the reply to a request; null: 404. A string is sent as it is, anything else as JSON. */
export type FakeHandler = (request: FakeRequest) => { status?: number; body: unknown } | null;

/** A run directory with a controller and agents that answer as a test says, for the command line. */
export class FakeMesh {
  readonly runDirectory = mkdtempSync(join(tmpdir(), 'aquifer-cli-'));
  readonly requests: FakeRequest[] = [];
  readonly #servers: Server[] = [];

  async controller(handler: FakeHandler): Promise<this> {
    return await this.#serve('lab/controller/controller.sock', handler);
  }

  async agent(node: string, handler: FakeHandler): Promise<this> {
    return await this.#serve(`lab/nodes/${node}/agent.sock`, handler);
  }

  close(): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(this.runDirectory, { recursive: true, force: true });
  }

  async #serve(path: string, handler: FakeHandler): Promise<this> {
    const socketPath = join(this.runDirectory, path);
    mkdirSync(dirname(socketPath), { recursive: true });
    const server = createServer(async (incoming, response) => {
      const request = { method: incoming.method ?? '', path: incoming.url ?? '', body: await textOf(incoming) };
      this.requests.push(request);
      const reply = handler(request);
      response.writeHead(reply === null ? 404 : (reply.status ?? 200));
      const body = reply === null ? { error: 'no such path' } : reply.body;
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    return this;
  }
}

async function textOf(stream: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return text;
}

/** A context that collects what a verb prints. */
export function collectingContext(
  runDirectory: string,
  input = '',
): { context: Context; output: () => string; errors: () => string } {
  let output = '';
  let errors = '';
  const context: Context = {
    out: (text) => {
      output += text;
    },
    err: (text) => {
      errors += text;
    },
    readInput: async () => input,
    palette: PLAIN,
    runDirectory,
    defaultLab: 'lab',
    signal: new AbortController().signal,
  };
  return { context, output: () => output, errors: () => errors };
}
