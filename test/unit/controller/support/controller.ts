import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { type Controller, startController } from '../../../../controller/main.ts';
import { parseConfig } from '../../../../controller/serve/config.ts';
import { ScriptedClient } from './scripted-client.ts';

/** A whole controller on loopback, with a directory of manifests, ended with the test. */
export class TestController {
  readonly root: string;
  #controller: Controller | null = null;
  readonly #clients: ScriptedClient[] = [];

  private constructor(root: string) {
    this.root = root;
  }

  static async start(t: ExecutionContext, manifests: Record<string, string> = {}): Promise<TestController> {
    const fixture = new TestController(mkdtempSync(join(tmpdir(), 'aquifer-controller-')));
    t.teardown(async () => {
      await fixture.stop();
      rmSync(fixture.root, { recursive: true, force: true });
    });
    mkdirSync(join(fixture.root, 'manifests'));
    writeFileSync(join(fixture.root, 'tokens.json'), '{"token-1": "node-1", "token-2": "node-2"}');
    for (const [file, text] of Object.entries(manifests)) fixture.write(file, text);
    await fixture.restart();
    return fixture;
  }

  get port(): number {
    return this.#controller?.port ?? 0;
  }

  async restart(): Promise<void> {
    await this.stop();
    const file = join(this.root, 'config.json');
    const config = parseConfig(
      JSON.stringify({
        listen: '127.0.0.1:0',
        metricsListen: '127.0.0.1:0',
        apiSocket: join(this.root, 'api.sock'),
        stateDir: join(this.root, 'state'),
        tokensFile: join(this.root, 'tokens.json'),
        sources: [{ directory: join(this.root, 'manifests') }],
      }),
      file,
    );
    this.#controller = await startController(config, pino({ level: 'silent' }));
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    await this.#controller?.close();
    this.#controller = null;
  }

  /** Writes a manifest in one step. */
  write(file: string, text: string): void {
    const path = join(this.root, 'manifests', file);
    writeFileSync(`${path}.part`, text);
    renameSync(`${path}.part`, path);
  }

  connect(token: string | null = 'token-1'): ScriptedClient {
    const ca = readFileSync(join(this.root, 'state', 'ca.pem'), 'utf8');
    const client = new ScriptedClient(this.port, ca, token);
    this.#clients.push(client);
    return client;
  }

  /** The metrics as Prometheus scrapes them. */
  async metrics(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#controller?.metricsPort}/metrics`);
    return await response.text();
  }

  /** Calls the HTTP API. */
  async call<T>(method: string, path: string, body = ''): Promise<{ status: number; body: T }> {
    return await new Promise((resolve, reject) => {
      const call = request({ socketPath: join(this.root, 'api.sock'), method, path }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as T }));
      });
      call.on('error', reject);
      call.end(body);
    });
  }

  /** Follows a watch; `lines` grows, `stop` ends it. */
  watch(path: string): {
    lines: { type: string; object?: { kind: string; metadata: { name: string } } }[];
    stop: () => void;
  } {
    const lines: { type: string; object?: { kind: string; metadata: { name: string } } }[] = [];
    const call = request({ socketPath: join(this.root, 'api.sock'), path }, (response) => {
      let rest = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const parts = `${rest}${chunk}`.split('\n');
        rest = parts.pop() ?? '';
        for (const line of parts) lines.push(JSON.parse(line));
      });
      response.on('error', () => {});
    });
    call.on('error', () => {});
    call.end();
    return { lines, stop: () => call.destroy() };
  }
}
