/** What the admin endpoints show and do; implemented by the composition root. */
export interface AgentView {
  pods(): PodStatus[];
  /** Resolves once the pod is settled or the wait is over; null: not a pod of this node, or too many wait. */
  waitForPod(uid: string, waitMs: number): Promise<PodStatus | null>;
  connections(): unknown[];
  configDump(): unknown;
  verdicts(): Record<string, number>;
  flows: FlowSource;
  logLevel(): string;
  /** False: no such level. */
  setLogLevel(level: string): boolean;
  drain(deadlineMs: number | null): void;
  version(): Record<string, unknown>;
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** What is still missing; empty: ready. */
  unready(): string[];
}

export type PodState = 'enrolled' | 'not_enrolled' | 'pending' | 'failed';

export interface PodStatus {
  uid: string;
  namespace: string;
  name: string;
  state: PodState;
  /** Why it is not enrolled, or a warning about one that is; empty otherwise. */
  reason: string;
  slot: number | null;
  connections: number;
}

export interface FlowSource {
  subscribe(subscriber: { write(line: string): void; queuedBytes(): number }): boolean;
  unsubscribe(subscriber: { write(line: string): void; queuedBytes(): number }): void;
}
