/** Probes, from the node's own network namespace and the kubelet's cgroup, as a kubelet runs them. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { Container, HttpAction, Probe } from '../cluster/objects.ts';
import { type Entry, enter } from './launch.ts';

export type ProbeResult = { ok: true } | { ok: false; message: string };

export interface ProbeTarget {
  address: string;
  container: Container;
  entry: Entry;
}

/** One attempt; never throws. */
export async function probeOnce(probe: Probe, target: ProbeTarget): Promise<ProbeResult> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  try {
    if (probe.tcpSocket !== undefined) return await tcpProbe(probe.tcpSocket, target, timeoutMs);
    if (probe.httpGet !== undefined) return await httpProbe(probe.httpGet, target, timeoutMs);
    if (probe.exec !== undefined) return await execProbe(probe.exec.command ?? [], target, timeoutMs);
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
  return { ok: false, message: 'the probe names none of httpGet, tcpSocket, exec' };
}

/** What the lab cannot probe, said before the container starts; `null` when all is well. */
export function unsupportedProbe(container: Container): string | null {
  for (const kind of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
    if (container[kind]?.grpc !== undefined) {
      return `${kind}: grpc probes do not work in the lab yet; use httpGet, tcpSocket or exec`;
    }
  }
  return null;
}

/** A number, or the container's port of that name. */
export function portNumber(port: number | string, container: Container): number {
  if (typeof port === 'number') return port;
  if (/^\d+$/.test(port)) return Number(port);
  const named = container.ports?.find((declared) => declared.name === port);
  if (named === undefined) throw new Error(`container ${container.name} has no port named "${port}"`);
  return named.containerPort;
}

function tcpProbe(
  probe: { port: number | string; host?: string },
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeResult> {
  const port = portNumber(probe.port, target.container);
  const host = probe.host ?? target.address;
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (result: ProbeResult): void => {
      socket.destroy();
      resolve(result);
    };
    socket.on('connect', () => end({ ok: true }));
    socket.on('timeout', () => end({ ok: false, message: `${host}:${port} did not answer in ${timeoutMs} ms` }));
    socket.on('error', (error) => end({ ok: false, message: error.message }));
  });
}

/** Any status from 200 to 399 is success; certificates are not verified, as with a kubelet. */
export function httpProbe(action: HttpAction, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  const secure = action.scheme?.toUpperCase() === 'HTTPS';
  const options = {
    host: action.host ?? target.address,
    port: portNumber(action.port, target.container),
    path: action.path ?? '/',
    headers: Object.fromEntries((action.httpHeaders ?? []).map(({ name, value }) => [name, value])),
    agent: false as const,
    signal: AbortSignal.timeout(timeoutMs),
  };
  return new Promise((resolve) => {
    const call = secure ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    call.on('response', (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      resolve(status >= 200 && status < 400 ? { ok: true } : { ok: false, message: `HTTP status ${status}` });
      call.destroy();
    });
    call.on('error', (error) => {
      const message =
        error.name === 'TimeoutError' || error.name === 'AbortError' ? `no answer in ${timeoutMs} ms` : error.message;
      resolve({ ok: false, message });
    });
    call.end();
  });
}

export function execProbe(command: readonly string[], target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const child = enter(target.entry, command, { stdio: 'ignore', timeout: timeoutMs, killSignal: 'SIGKILL' });
    child.on('error', (error) => resolve({ ok: false, message: error.message }));
    child.on('exit', (code, signal) => {
      resolve(code === 0 ? { ok: true } : { ok: false, message: `${command[0] ?? ''}: exit ${code ?? signal}` });
    });
  });
}

/** Repeats one probe and tells when its verdict turns. */
export class ProbeLoop {
  readonly #probe: Probe;
  readonly #attempt: () => Promise<ProbeResult>;
  readonly #onVerdict: (ok: boolean, message: string) => void;
  readonly #eager: boolean;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #row = 0;
  #last: boolean | null = null;
  #verdict: boolean | null = null;

  /** `eager`: until the first success every second at least, so that a lab comes up fast. */
  constructor(
    probe: Probe,
    attempt: () => Promise<ProbeResult>,
    eager: boolean,
    onVerdict: (ok: boolean, message: string) => void,
  ) {
    this.#probe = probe;
    this.#attempt = attempt;
    this.#eager = eager;
    this.#onVerdict = onVerdict;
    this.#schedule((probe.initialDelaySeconds ?? 0) * 1000);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#once(), delayMs);
  }

  async #once(): Promise<void> {
    const result = await this.#attempt();
    if (this.#stopped) return;
    this.#row = result.ok === this.#last ? this.#row + 1 : 1;
    this.#last = result.ok;
    const threshold = result.ok ? (this.#probe.successThreshold ?? 1) : (this.#probe.failureThreshold ?? 3);
    if (this.#row >= threshold && this.#verdict !== result.ok) {
      this.#verdict = result.ok;
      this.#onVerdict(result.ok, result.ok ? '' : result.message);
    }
    const periodMs = (this.#probe.periodSeconds ?? 10) * 1000;
    this.#schedule(this.#eager && this.#verdict !== true ? Math.min(periodMs, 250) : periodMs);
  }
}
