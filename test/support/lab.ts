/** A lab for one test file: brought up with its own name, driven by the same commands as a user's, always taken down. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';

const ROOT = join(import.meta.dirname, '../..');
const CLI = join(ROOT, 'controller/cli/main.ts');
export const PROGRAMS = join(ROOT, 'test/e2e/programs');

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  input?: string;
  timeoutMs?: number;
}

/** Runs a program to its end; a run over `timeoutMs` (default 60 s) is killed and gives code 124. */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } });
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
      // What it left behind in a pod may still hold the pipes.
      child.stdout.destroy();
      child.stderr.destroy();
    }, options.timeoutMs ?? 60_000);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: timedOut ? 124 : (code ?? 1), stdout, stderr });
    });
  });
}

export interface PodState {
  uid: string;
  namespace: string;
  name: string;
  state: string;
  reason?: string;
}

/** A live connection or a finished one as the agent's admin endpoint tells it; names are those of the access log. */
export type Flow = Record<string, string | number | boolean | null | undefined>;

export class Lab {
  readonly name: string;
  readonly directory: string;
  /** The watched directory. */
  readonly manifests: string;

  private constructor(name: string, manifests: string) {
    this.name = name;
    this.directory = `/run/aquifer/${name}`;
    this.manifests = manifests;
  }

  /** `manifests` is YAML; the lab is up when the command returns and all pods are as they should be. */
  static async up(prefix: string, manifests: string, args: string[] = []): Promise<Lab> {
    const directory = mkdtempSync(join(tmpdir(), 'aquifer-manifests-'));
    writeFileSync(join(directory, 'all.yaml'), manifests);
    const lab = new Lab(`${prefix}${process.pid}`, directory);
    const ran = await lab.cli(['lab', 'up', '--detach', '--manifests', directory, ...args], { timeoutMs: 120_000 });
    if (ran.code !== 0) {
      await lab.down();
      throw new Error(`lab up: exit ${ran.code}\n${ran.stdout}\n${ran.stderr}`);
    }
    return lab;
  }

  cli(args: string[], options: RunOptions = {}): Promise<Ran> {
    const named = args[0] === 'lab' ? ['lab', args[1] ?? '', '--name', this.name, ...args.slice(2)] : [...args];
    if (args[0] !== 'lab') named.splice(1, 0, '--lab', this.name);
    return run(process.execPath, [CLI, ...named], options);
  }

  /** `who` is `namespace/pod` or `namespace/deployment`. */
  exec(who: string, command: string[], options: RunOptions = {}): Promise<Ran> {
    return this.cli(['lab', 'exec', who, '--', ...command], options);
  }

  /** A long-running command in a pod; end it with `kill`. */
  spawn(who: string, command: string[]): ChildProcessWithoutNullStreams {
    return spawn(process.execPath, [CLI, 'lab', 'exec', '--name', this.name, who, '--', ...command]);
  }

  apply(yaml: string): Promise<Ran> {
    return this.cli(['apply', '-f', '-'], { input: yaml });
  }

  delete(yaml: string): Promise<Ran> {
    return this.cli(['delete', '-f', '-'], { input: yaml });
  }

  agentSocket(node: string): string {
    return `${this.directory}/nodes/${node}/agent.sock`;
  }

  agent<T>(node: string, path: string, method = 'GET'): Promise<T> {
    return getJson<T>(this.agentSocket(node), path, method);
  }

  controller<T>(path: string): Promise<T> {
    return getJson<T>(`${this.directory}/controller/controller.sock`, path, 'GET');
  }

  connections(node: string): Promise<Flow[]> {
    return this.agent<Flow[]>(node, '/connections');
  }

  /** What Prometheus would scrape at the node. */
  async metrics(node: string): Promise<string> {
    const ran = await run('ip', [
      'netns',
      'exec',
      `aq-${this.name}-${node}`,
      'curl',
      '-sS',
      '-m',
      '10',
      'http://127.0.0.1:15020/metrics',
    ]);
    if (ran.code !== 0) throw new Error(ran.stderr);
    return ran.stdout;
  }

  /** The pod's address of one family, once it has one. */
  async address(namespace: string, name: string, family: 4 | 6 = 4): Promise<string> {
    return await eventually(`${namespace}/${name} has an address`, async () => {
      const { items } = await this.controller<{ items: PodObject[] }>(
        `/v1/objects?kind=Pod&namespace=${namespace}&name=${name}`,
      );
      return items[0]?.status?.podIPs?.map((entry) => entry.ip).find((ip) => ip.includes(':') === (family === 6));
    });
  }

  async down(): Promise<void> {
    const ran = await this.cli(['lab', 'down'], { timeoutMs: 60_000 });
    rmSync(this.manifests, { recursive: true, force: true });
    if (ran.code !== 0) throw new Error(`lab down: exit ${ran.code}\n${ran.stdout}\n${ran.stderr}`);
  }
}

interface PodObject {
  status?: { podIPs?: { ip: string }[] };
}

function getJson<T>(socketPath: string, path: string, method: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, method }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => {
        if ((response.statusCode ?? 500) >= 400) reject(new Error(`${method} ${path}: ${response.statusCode} ${body}`));
        else resolve((body === '' ? null : JSON.parse(body)) as T);
      });
    });
    call.setTimeout(10_000, () => call.destroy(new Error(`${method} ${path}: no answer in 10 s`)));
    call.on('error', reject);
    call.end();
  });
}
