import type { AcceptedConnection } from '../../agent/accept/accepted.ts';
import { Balancer } from '../../agent/balance/balancer.ts';
import { type Limits, LimitsSchema } from '../../agent/config/limits.ts';
import { NodeJudge } from '../../agent/judge.ts';
import type { LocalPod } from '../../agent/model/connection.ts';
import { type Policy, policyKey } from '../../agent/model/policy.ts';
import type { Snapshot } from '../../agent/model/snapshot.ts';
import type { Service, Workload } from '../../agent/model/workload.ts';
import { TextAccessLog } from '../../agent/observe/access-log.ts';
import { FlowStream } from '../../agent/observe/flows.ts';
import { Observer } from '../../agent/observe/observer.ts';
import { SeriesTable } from '../../agent/observe/series.ts';
import { Tally } from '../../agent/observe/tally.ts';
import { Pipeline } from '../../agent/pipeline.ts';
import { Reviewer } from '../../agent/reviewer.ts';
import type { Accepted, ConnectCallback, ConnectOptions, NativeError, RelayEnd } from '../../native/index.ts';

export function limits(overrides: Partial<Limits> = {}): Limits {
  return { ...LimitsSchema.parse({}), ...overrides };
}

/** Time that moves only when told to. */
export class FakeClock {
  now = 1_000;
  #timers: { at: number; callback: () => void }[] = [];

  nowMs = (): number => this.now;
  monotonicMs = (): number => this.now;
  wallMs = (): number => Date.UTC(2024, 0, 1) + this.now;

  setTimer = (callback: () => void, delayMs: number): unknown => {
    const timer = { at: this.now + delayMs, callback };
    this.#timers.push(timer);
    return timer;
  };

  clearTimer = (timer: unknown): void => {
    this.#timers = this.#timers.filter((each) => each !== timer);
  };

  advance(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.now = next.at;
      this.clearTimer(next);
      next.callback();
    }
    this.now = until;
  }
}

export class FakeRelay {
  sent = 0;
  received = 0;
  readonly #onEnd: (end: RelayEnd) => void;
  closedHow: 'reset' | 'finish' | null = null;
  readonly #told: string[];

  constructor(onEnd: (end: RelayEnd) => void, told: string[] = []) {
    this.#onEnd = onEnd;
    this.#told = told;
  }

  bytesSent = (): number => this.sent;
  bytesReceived = (): number => this.received;
  release = (): null => null;

  cut(): void {
    this.#told.push('cut');
  }

  close(how: 'reset' | 'finish'): void {
    this.#told.push(how);
    this.closedHow = how;
    this.end('closed');
  }

  end(cause: RelayEnd['cause'], code = ''): void {
    this.#onEnd({ bytesSent: this.sent, bytesReceived: this.received, cause, errno: 0, code });
  }
}

/** Sockets that exist on paper: connects are answered by the test. */
export class FakeSockets {
  readonly connects: { options: ConnectOptions; done: ConnectCallback; cancelled: boolean }[] = [];
  readonly relays: FakeRelay[] = [];
  /** What was asked of relays, in order. */
  readonly told: string[] = [];
  readonly closed: { fd: number; reset: boolean }[] = [];
  readonly socketOptions: { fd: number; level: number; name: number; value: number }[] = [];

  setSocketOption = (fd: number, level: number, name: number, value: number): void => {
    this.socketOptions.push({ fd, level, name, value });
  };

  connect = (options: ConnectOptions, done: ConnectCallback): { cancel(): void } => {
    const connect = { options, done, cancelled: false };
    this.connects.push(connect);
    return {
      cancel: () => {
        connect.cancelled = true;
      },
    };
  };

  relay = (_down: number, _up: number, _options: unknown, onEnd: (end: RelayEnd) => void): FakeRelay => {
    const relay = new FakeRelay(onEnd, this.told);
    this.relays.push(relay);
    return relay;
  };

  closeSocket = (fd: number, reset: boolean): void => {
    this.closed.push({ fd, reset });
  };

  /** Answers the n-th connect, the last one by default. */
  succeed(index = this.connects.length - 1): FakeRelay {
    this.connects[index]?.done(null, 100 + index, { address: '10.0.0.1', port: 4000 });
    const relay = this.relays.at(-1);
    if (relay === undefined) throw new Error('no relay was made');
    return relay;
  }

  fail(code: string, index = this.connects.length - 1): void {
    this.connects[index]?.done(nativeError(code), -1, null);
  }
}

export function nativeError(code: string): NativeError {
  return Object.assign(new Error(code), { code, errno: 1, syscall: 'fake' });
}

export function workload(name: string, address: string, overrides: Partial<Workload> = {}): Workload {
  return {
    uid: `Kubernetes//Pod/shop/${name}`,
    name,
    namespace: 'shop',
    identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: name },
    addresses: [address],
    network: '',
    node: 'node-1',
    clusterId: 'Kubernetes',
    workloadName: name,
    workloadType: 'deployment',
    canonicalName: name,
    canonicalRevision: 'v1',
    locality: { region: '', zone: '', subzone: '' },
    hostNetwork: false,
    enrolled: true,
    healthy: true,
    serving: true,
    terminating: false,
    capacity: 1,
    probePorts: [],
    policies: [],
    selectorPolicies: [],
    services: new Map(),
    endpointConditions: new Map(),
    podUid: `uid-${name}`,
    ...overrides,
  };
}

export function service(name: string, address: string, ports: Record<number, number>): Service {
  return {
    key: `shop/${name}.shop.svc.cluster.local`,
    name,
    namespace: 'shop',
    hostname: `${name}.shop.svc.cluster.local`,
    addresses: [address],
    ports: new Map(
      Object.entries(ports).map(([port, targetPort]) => [
        Number(port),
        { port: Number(port), targetPort, appProtocol: 'unknown' },
      ]),
    ),
    routingPreference: [],
    mode: 'standard',
    allowUnhealthy: false,
    sessionAffinitySeconds: 0,
  };
}

let versions = 0;

export function snapshot(parts: {
  workloads?: Workload[];
  services?: Service[];
  policies?: Policy[];
  awaiting?: string[];
}): Snapshot {
  const { workloads = [], services = [], policies = [], awaiting = [] } = parts;
  return {
    version: ++versions,
    workloads: new Map(workloads.map((each) => [each.uid, each])),
    workloadByAddress: new Map(workloads.flatMap((each) => each.addresses.map((address) => [address, each] as const))),
    services: new Map(services.map((each) => [each.key, each])),
    serviceByAddress: new Map(services.flatMap((each) => each.addresses.map((address) => [address, each] as const))),
    endpoints: new Map(services.map(({ key }) => [key, workloads.filter((each) => each.services.has(key))])),
    policies: new Map(policies.map((policy) => [policyKey(policy.direction, policy.name), policy])),
    awaiting: new Set(awaiting),
  };
}

/** An enforced Inbound Deny of everything for whoever names it. */
export function denyAll(name: string): Policy {
  return {
    name,
    namespace: name.split('/')[0] ?? '',
    version: '1',
    scope: 'Workload',
    action: 'Deny',
    enforcement: 'Enforce',
    direction: 'Inbound',
    rules: [[]],
    appliesToPorts: [],
  };
}

export function localPod(name: string, address: string, slot = 1): LocalPod {
  return {
    uid: `uid-${name}`,
    namespace: 'shop',
    name,
    serviceAccount: name,
    addresses: [address],
    netns: 10 + slot,
    slot,
  };
}

export function accepted(pod: LocalPod, overrides: Partial<AcceptedConnection> = {}): AcceptedConnection {
  return {
    fd: 50,
    pod,
    listener: 'outbound',
    originalDestination: { address: '10.96.0.5', port: 80 },
    source: { address: pod.addresses[0] ?? '', port: 40_000 },
    refusal: null,
    ...overrides,
  };
}

export function rawAccepted(mark: number, port = 80): Accepted {
  return { fd: 5, local: { address: '10.0.0.9', port }, remote: { address: '10.0.0.1', port: 999 }, mark };
}

/** A pipeline whose every seam is a fake. */
export class PipelineBench {
  readonly clock = new FakeClock();
  readonly sockets = new FakeSockets();
  readonly limitHits = new Tally();
  readonly lines: string[] = [];
  readonly errors: unknown[] = [];
  readonly later: (() => void)[] = [];
  readonly observer: Observer;
  readonly flows: FlowStream;
  readonly pipeline: Pipeline;
  readonly reviewer: Reviewer;

  constructor(initial: Snapshot, overrides: Partial<Limits> = {}) {
    const all = limits(overrides);
    this.flows = new FlowStream(all, (limit) => this.limitHits.add(limit));
    this.observer = new Observer({
      series: new SeriesTable(all.metricSeries, () => this.limitHits.add('metricSeries')),
      refusals: new Tally(),
      ends: new Tally(),
      accessLog: new TextAccessLog({ write: (text) => this.lines.push(text) }),
      flows: this.flows,
      clock: this.clock,
    });
    const balancer = new Balancer({ monotonicMs: this.clock.monotonicMs, random: () => 0 });
    const judge = new NodeJudge('node-1', balancer);
    this.pipeline = new Pipeline(
      {
        native: this.sockets,
        judge,
        observer: this.observer,
        limitHits: this.limitHits,
        limits: all,
        timers: this.clock,
        onInternalError: (error) => this.errors.push(error),
      },
      initial,
    );
    this.reviewer = new Reviewer({
      pipeline: this.pipeline,
      judge,
      live: this.observer.live,
      batch: all.reevaluationBatchConnections,
      later: (callback) => this.later.push(callback),
      monotonicMs: this.clock.monotonicMs,
    });
  }

  onSnapshot(next: Snapshot): void {
    this.pipeline.onSnapshot(next);
    this.reviewer.onSnapshot(next);
  }
}
