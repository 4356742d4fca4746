import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { pino } from 'pino';
import { loadNative, type Native } from '../native/index.ts';
import type { AcceptedConnection } from './accept/accepted.ts';
import { PodListeners } from './accept/listeners.ts';
import { HttpEndpoint } from './admin/http.ts';
import { adminRoutes, metricsRoutes, readinessRoutes } from './admin/routes.ts';
import { RunningAgentView } from './agent-view.ts';
import { Balancer } from './balance/balancer.ts';
import type { Config } from './config/schema.ts';
import { Drain } from './drain.ts';
import { Enrolment } from './enrolment/enrolment.ts';
import { PodSource } from './enrolment/pod-source.ts';
import { Predecessor } from './hand-over.ts';
import { NodeJudge } from './judge.ts';
import { numberSources } from './metrics-sources.ts';
import { MeshError } from './model/errors.ts';
import { type AccessLog, JsonAccessLog, NoAccessLog, TextAccessLog } from './observe/access-log.ts';
import { addressText } from './observe/fields.ts';
import { FlowStream } from './observe/flows.ts';
import { LineBuffer } from './observe/line-buffer.ts';
import { buildRegistry } from './observe/metrics.ts';
import { Observer } from './observe/observer.ts';
import { RateLimit } from './observe/rate-limit.ts';
import { SeriesTable } from './observe/series.ts';
import { Tally } from './observe/tally.ts';
import { OlderConnections } from './older.ts';
import { Pipeline } from './pipeline.ts';
import { Redirect } from './redirect/redirect.ts';
import { Reviewer } from './reviewer.ts';
import { ControllerClient } from './sync/controller-client.ts';
import { SnapshotStore } from './sync/snapshot-store.ts';

/** A successor waits so long for its first snapshot before it takes over: until then the predecessor serves better. */
const HAND_OVER_WAIT_MS = 10_000;

/** Wires every part by constructor and starts it. Resolves once the agent is up; throws `MeshError` for what it cannot do. */
export async function runAgent(config: Config): Promise<void> {
  const { limits } = config;
  const version = packageVersion();
  const logger = pino(
    { level: config.logLevel, base: { node: config.node }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 1, sync: false, minLength: 0, maxLength: limits.logQueueBytes }),
  );
  const native = nativeOrThrow();
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
  const monotonicMs = (): number => performance.now();
  const limitHits = new Tally();

  const accessLog = openAccessLog(config, () => limitHits.add('logQueueBytes'));
  const flows = new FlowStream(limits, (limit) => limitHits.add(limit));
  const observer = new Observer({
    series: new SeriesTable(limits.metricSeries, () => limitHits.add('metricSeries')),
    refusals: new Tally(),
    ends: new Tally(),
    accessLog: accessLog.log,
    flows,
    clock: { wallMs: Date.now, monotonicMs },
  });
  const store = new SnapshotStore();
  const sync = new ControllerClient({ store, config, logger });
  const judge = new NodeJudge(config.node, new Balancer({ monotonicMs, random: Math.random, limits }));
  const pipeline = new Pipeline(
    {
      native,
      judge,
      observer,
      limitHits,
      limits,
      timers: {
        nowMs: monotonicMs,
        setTimer: setTimeout,
        clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
      },
      onInternalError: (error) => logger.error({ err: error }, 'a connection could not be judged'),
    },
    store.current,
  );
  const reviewer = new Reviewer({
    pipeline,
    judge,
    live: observer.live,
    batch: limits.reevaluationBatchConnections,
    later: setImmediate,
    monotonicMs,
  });
  const redirect = new Redirect(native, config);
  const older = new OlderConnections(
    {
      source: redirect,
      holdTimeMs: limits.holdTimeMs,
      monotonicMs,
      onClosed: (pod, { local, remote, direction }, { reason, policy }) => {
        const [from, to] = direction === 'outbound' ? [local, remote] : [remote, local];
        const addresses = { src: addressText(from.address, from.port), dst: addressText(to.address, to.port) };
        const name = `${pod.namespace}/${pod.name}`;
        logger.info({ pod: name, direction, ...addresses, reason, policy }, 'pre-enrolment connection closed');
      },
    },
    store.current,
  );
  const acceptErrors = new RateLimit(limits.kernelEventsPerSecond);
  const enrolment = new Enrolment({
    redirect,
    openListeners: (pod) =>
      PodListeners.open(native, pod, limits, {
        onConnection: (connection) => {
          if (connection.listener === 'outbound') restoreAsked(redirect, connection);
          pipeline.onConnection(connection);
        },
        onAcceptError: ({ uid }, listener, error) => {
          limitHits.add('descriptors');
          if (acceptErrors.admit(monotonicMs())) logger.error({ err: error, uid, listener }, 'accepting paused');
        },
      }),
    events: {
      onEnrolled: (pod) => {
        logger.info({ uid: pod.uid, pod: `${pod.namespace}/${pod.name}`, slot: pod.slot }, 'pod enrolled');
        older.onEnrolled(pod);
      },
      onUnenrolling: (pod, ended) => {
        logger.info({ uid: pod.uid, pod: `${pod.namespace}/${pod.name}`, ended }, 'pod leaves the mesh');
        older.onUnenrolling(pod);
        if (ended) reviewer.closeAll('endpoint_removed', pod.uid);
      },
      onFailed: ({ uid, namespace, name }, reason, retryInMs) =>
        logger.error({ uid, pod: `${namespace}/${name}`, reason, retryInMs }, 'pod cannot be enrolled'),
      onWarning: ({ uid, namespace, name }, warning) => logger.warn({ uid, pod: `${namespace}/${name}` }, warning),
    },
    limits,
    limitHits,
    capabilities: config.enrolment.capabilities,
    monotonicMs,
  });
  const podSource = new PodSource(config.podSource.directory, limits.podScanIntervalMs, {
    onPods: (pods) => enrolment.onPods(pods),
    onInvalid: (file, reason) => logger.error({ file, reason }, 'pod source: not a valid pod'),
  });

  const drifts = new Tally();
  let loaded = false;
  const endpoints: HttpEndpoint[] = [];
  const drain = new Drain({
    enrolment,
    reviewer,
    live: observer.live,
    limits,
    log: (message, fields) => logger.info(fields, message),
    onDone: () => {
      podSource.close();
      redirect.close({ detach: false });
      for (const endpoint of endpoints) endpoint.close();
      sync.close().finally(() => {
        accessLog.flush();
        logger.flush(() => process.exit(0));
        setTimeout(() => process.exit(0), 500).unref();
      });
    },
  });
  const registry = buildRegistry({
    observer,
    limitHits,
    kernelVerdicts: () => redirect.verdicts(),
    ...numberSources({ enrolment, pipeline, observer, reviewer, older, sync: () => sync.state, drifts, version }),
  });
  const view = new RunningAgentView({
    config,
    enrolment,
    pipeline,
    observer,
    older,
    flows,
    verdicts: () => redirect.verdicts(),
    logger,
    metrics: () => registry.metrics(),
    unready: () => [
      ...(loaded ? [] : ['BPF programs']),
      ...(store.current.version > 0 ? [] : ['first snapshot']),
      ...(drain.active ? ['draining'] : []),
    ],
    syncState: () => sync.state,
    drain: (deadlineMs) => drain.start(deadlineMs, true),
    version,
  });

  // Readiness and metrics answer, and say what is missing, while the rest is still on its way.
  const adminDropped = (): void => limitHits.add('adminConnections');
  const open = async (port: number, address: string, routes: ReturnType<typeof adminRoutes>): Promise<void> => {
    if (port === 0) return;
    const endpoint = new HttpEndpoint(routes, limits, false, adminDropped);
    endpoints.push(endpoint);
    await endpoint.listenTcp(address, port);
  };
  await open(config.readiness.port, config.readiness.address, readinessRoutes(view));
  await open(config.metrics.port, config.metrics.address, metricsRoutes(view));
  await open(config.admin.port, '127.0.0.1', adminRoutes(view));

  const { reused, others } = await redirect.start();
  loaded = true;
  for (const other of others) logger.warn(other, 'another connect program is on the path');
  const kernelEvents = new RateLimit(limits.kernelEventsPerSecond);
  redirect.onEvent(({ reason, slot, local, remote, protocol }) => {
    if (!kernelEvents.admit(monotonicMs())) return;
    logger.warn(
      { reason, slot, local, remote, protocol, suppressed: kernelEvents.takeSuppressed() },
      'refused in the kernel',
    );
  });
  store.onChange((snapshot) => {
    // Enrolment first: what it opens is then judged by the same snapshot.
    enrolment.onSnapshot(snapshot);
    pipeline.onSnapshot(snapshot);
    older.onSnapshot(snapshot);
    reviewer.onSnapshot(snapshot);
  });
  const predecessor = await Predecessor.find(config.admin.socket);
  sync.start();
  if (predecessor !== null) await firstSnapshot(store, HAND_OVER_WAIT_MS);
  podSource.start();
  enrolment.restore(redirect.pinnedPods());
  await enrolment.idle();
  redirect.prune(new Set([...enrolment.pods()].map(({ file }) => file.uid)));
  const maintenance = setInterval(() => {
    for (const drift of drain.active ? [] : redirect.maintain()) {
      drifts.add(drift.what);
      logger.error(drift, 'the capture of a pod was changed by somebody');
    }
  }, limits.maintenanceIntervalMs);
  maintenance.unref();

  const socket = new HttpEndpoint(adminRoutes(view), limits, true, adminDropped);
  endpoints.push(socket);
  await socket.listenUnix(config.admin.socket);
  await predecessor?.drain();
  logger.info({ version, instance: config.instance, reused, successor: predecessor !== null }, 'agent is up');

  let signals = 0;
  const onSignal = (signal: string): void => {
    logger.info({ signal }, 'signal');
    if (signals++ > 0) drain.finish();
    else drain.start(null, false);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

/** A snapshot that is worth taking over with, or the end of patience. */
function firstSnapshot(store: SnapshotStore, waitMs: number): Promise<void> {
  if (store.current.version > 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, waitMs);
    const stop = store.onChange(() => {
      clearTimeout(timer);
      stop();
      resolve();
    });
  });
}

/** A program after ours (a socket load balancer) may have put an endpoint in the place of what the app asked for. */
function restoreAsked(redirect: Redirect, connection: AcceptedConnection): void {
  const { source, originalDestination } = connection;
  connection.originalDestination =
    redirect.takeAsked({ local: source, remote: originalDestination }) ?? originalDestination;
}

function openAccessLog(config: Config, onDrop: () => void): { log: AccessLog; flush: () => void } {
  const { enabled, format, file } = config.accessLog;
  if (!enabled) return { log: new NoAccessLog(), flush: () => {} };
  const sink = pino.destination({
    dest: file === '/dev/stdout' ? 1 : openSync(file, 'a', 0o640),
    sync: false,
    minLength: 0,
    maxWrite: 65_536,
    maxLength: config.limits.logQueueBytes,
  });
  sink.on('drop', onDrop);
  // A full disk costs lines, never connections.
  sink.on('error', onDrop);
  const lines = new LineBuffer(sink, config.limits.logFlushIntervalMs, (callback, delayMs) =>
    setTimeout(callback, delayMs).unref(),
  );
  const log = format === 'json' ? new JsonAccessLog(lines) : new TextAccessLog(lines);
  const flush = (): void => {
    lines.flush();
    sink.flushSync();
  };
  return { log, flush };
}

function nativeOrThrow(): Native {
  try {
    return loadNative();
  } catch (cause) {
    throw new MeshError('MESH_NATIVE_MISSING', 'the addon cannot be loaded', { cause, hint: 'run `make build`' });
  }
}

function packageVersion(): string {
  return (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}
