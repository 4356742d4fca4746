import { memoryUsage, resourceUsage, version } from 'node:process';
import { dumpSnapshot } from './admin/config-dump.ts';
import type { AgentView, FlowSource, PodStatus } from './admin/view.ts';
import type { Config } from './config/schema.ts';
import type { Enrolment } from './enrolment/enrolment.ts';
import { addressText, fieldsOf } from './observe/fields.ts';
import type { Observer } from './observe/observer.ts';
import type { OlderConnections } from './older.ts';
import type { Pipeline } from './pipeline.ts';

export interface ViewParts {
  config: Config;
  enrolment: Enrolment;
  pipeline: Pipeline;
  observer: Observer;
  older: OlderConnections;
  flows: FlowSource;
  verdicts: () => Record<string, number>;
  logger: { level: string; levels: { values: Record<string, number> } };
  metrics: () => Promise<string>;
  unready: () => string[];
  syncState: () => unknown;
  drain: (deadlineMs: number | null) => void;
  version: string;
}

/** The running agent as its admin endpoints show it. */
export class RunningAgentView implements AgentView {
  readonly flows: FlowSource;
  readonly #parts: ViewParts;

  constructor(parts: ViewParts) {
    this.#parts = parts;
    this.flows = parts.flows;
  }

  pods(): PodStatus[] {
    return [...this.#parts.enrolment.pods()].map((entry) => this.#status(entry));
  }

  async waitForPod(uid: string, waitMs: number): Promise<PodStatus | null> {
    const entry = await this.#parts.enrolment.wait(uid, Math.min(waitMs, this.#parts.config.limits.podWaitMs));
    return entry === null ? null : this.#status(entry);
  }

  connections(): unknown[] {
    const { observer, older, config } = this.#parts;
    const live = [...observer.live].map((record) => fieldsOf(record, observer.ageMs(record)));
    return [...live, ...older.list().map((each) => ({ ...each, node: config.node }))];
  }

  configDump(): unknown {
    const { pipeline, config, enrolment, syncState } = this.#parts;
    const state = [...enrolment.pods()].map(({ file, state, reason }) => {
      const { uid, namespace, name, serviceAccount } = file;
      return [uid, { state, reason, info: { namespace, name, serviceAccount }, connections: this.#connectionsOf(uid) }];
    });
    return {
      ...dumpSnapshot(pipeline.snapshot),
      config,
      sync: syncState(),
      workloadState: Object.fromEntries(state),
    };
  }

  verdicts(): Record<string, number> {
    return this.#parts.verdicts();
  }

  logLevel(): string {
    return this.#parts.logger.level;
  }

  setLogLevel(level: string): boolean {
    if (!Object.hasOwn(this.#parts.logger.levels.values, level)) return false;
    this.#parts.logger.level = level;
    return true;
  }

  drain(deadlineMs: number | null): void {
    this.#parts.drain(deadlineMs);
  }

  version(): Record<string, unknown> {
    const { rss, heapUsed } = memoryUsage();
    const { userCPUTime, systemCPUTime } = resourceUsage();
    const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6;
    return {
      version: this.#parts.version,
      node: version,
      pid: process.pid,
      rssBytes: rss,
      heapBytes: heapUsed,
      cpuSeconds,
    };
  }

  metrics(): Promise<string> {
    return this.#parts.metrics();
  }

  unready(): string[] {
    return this.#parts.unready();
  }

  #status(entry: Parameters<typeof statusOf>[0]): PodStatus {
    return statusOf(entry, this.#parts.pipeline.connectionsOf(entry.file.uid));
  }

  #connectionsOf(uid: string): { inbound: string[]; outbound: string[] } {
    const found = { inbound: [] as string[], outbound: [] as string[] };
    for (const { pod, direction, source, originalDestination: to } of this.#parts.observer.live) {
      if (pod.uid !== uid) continue;
      found[direction].push(`${addressText(source.address, source.port)} -> ${addressText(to.address, to.port)}`);
    }
    return found;
  }
}

function statusOf(
  entry: ReturnType<Enrolment['pods']> extends Iterable<infer E> ? E : never,
  connections: number,
): PodStatus {
  const { uid, namespace, name } = entry.file;
  return { uid, namespace, name, state: entry.state, reason: entry.reason, slot: entry.pod?.slot ?? null, connections };
}
