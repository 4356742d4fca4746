import { mkdirSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { type Logger, pino } from 'pino';
import type { ApiObject } from './api/kinds.ts';
import { refOf } from './api/kinds.ts';
import type { L4Policy } from './api/l4-policy.ts';
import { channelCredentials } from './ca/channel.ts';
import { accepted, type Condition, policyConditions } from './core/conditions.ts';
import type { ObjectRef } from './core/model.ts';
import { Index } from './index/index.ts';
import { isEmptyDelta } from './index/results.ts';
import { AdsServer } from './serve/ads-server.ts';
import { type ControllerConfig, LOG_LEVELS, parseConfig } from './serve/config.ts';
import { type ApiBackend, HttpApi } from './serve/http-api.ts';
import { ControllerMetrics } from './serve/metrics.ts';
import { parseHostPort, serveMetrics } from './serve/metrics-server.ts';
import { ResourceCache } from './serve/resource-cache.ts';
import { TokenFile } from './serve/tokens.ts';
import { TYPE_URLS, type TypeUrl } from './serve/types.ts';
import { DirectorySource } from './watch/directory.ts';
import { layerDirectory } from './watch/layer-files.ts';
import { type ObjectChange, ObjectStore } from './watch/object-store.ts';
import { listObjects, watchObjects } from './watch/queries.ts';
import { sourceMemory } from './watch/source-memory.ts';
import { type Judge, Writes } from './watch/writes.ts';

/** The name that agents check, wherever they connect. */
const SERVER_NAME = 'aquifer-controller.aquifer-system.svc';

/** The controller, put together; `close` ends it. */
export interface Controller {
  /** Port of the gRPC server. */
  port: number;
  metricsPort: number;
  close(): Promise<void>;
}

/** Starts everything. The HTTP API answers only when the manifests have been read once. */
export async function startController(config: ControllerConfig, log: Logger): Promise<Controller> {
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
  const store = openStore(config, log);
  const index = new Index(config);
  const cache = new ResourceCache();
  const metrics = new ControllerMetrics({
    connectedAgents: () => ads.connectedAgents,
    objectsByKind: () => countKinds(store.list()),
  });

  feed(
    index,
    [...store.list()].map((object) => ({ ref: refOf(object), object, previous: null })),
  );
  const publish = () => {
    const delta = index.commit();
    if (isEmptyDelta(delta)) return;
    cache.update(delta);
    metrics.updated(cache.sequence);
  };
  publish();
  store.onChange('effective', (changes) => {
    feed(index, changes);
    publish();
    for (const { ref, object } of changes) if (object !== null) warnUnenforceable(ref, index, log);
  });

  const sources = config.sources.map(
    ({ directory }, at) =>
      new DirectorySource({
        directory,
        log,
        memory: sourceMemory(join(config.stateDir, 'objects', `${directoryLayer(at)}.json`)),
        onObjects: (objects) => store.replaceLayer(directoryLayer(at), objects),
      }),
  );

  const { host } = parseHostPort(config.listen);
  const credentials = await channelCredentials(config.stateDir, {
    dns: [SERVER_NAME, 'localhost'],
    addresses: ['127.0.0.1', '::1', ...(isIP(host) > 0 ? [host] : [])],
  });
  const tokens = new TokenFile(config.tokensFile);
  const ads = new AdsServer({ listen: config.listen, ...credentials, tokens, cache, metrics, log });

  for (const source of sources) await source.start();
  const port = await ads.listen();
  const metricsServer = await serveMetrics(metrics.registry, config.metricsListen);
  const http = new HttpApi(backend({ store, index, cache, ads, sources, log }), metrics, log);
  await http.listen(config.apiSocket);
  log.info({ port, ...index.counts }, 'controller is ready');

  const address = metricsServer.address();
  return {
    port,
    metricsPort: address !== null && typeof address === 'object' ? address.port : 0,
    close: async () => {
      http.close();
      metricsServer.close();
      ads.close();
      for (const source of sources) await source.close();
    },
  };
}

function directoryLayer(at: number): string {
  return `directory-${at}`;
}

function openStore({ stateDir, sources }: ControllerConfig, log: Logger): ObjectStore {
  const layer = (name: string) =>
    layerDirectory(join(stateDir, 'objects', name), (file, reason) => {
      log.error({ file, reason }, 'a stored object cannot be read');
    });
  return new ObjectStore([
    ...sources.map((_, at) => ({ name: directoryLayer(at), files: null })),
    { name: 'applied', files: layer('applied') },
    { name: 'cluster', reported: true, files: layer('cluster') },
  ]);
}

function feed(index: Index, changes: readonly ObjectChange[]): void {
  for (const { ref, object } of changes) {
    if (object === null) index.remove(ref);
    else index.apply(object);
  }
}

function warnUnenforceable({ kind, namespace, name }: ObjectRef, index: Index, log: Logger): void {
  if (kind !== 'L4Policy') return;
  for (const { field, reason } of index.findings(namespace, name)?.unenforceable ?? []) {
    const policy = `${namespace}/${name}`;
    log.error({ policy, field, reason }, `L4Policy ${policy} cannot be enforced as written: ${field}: ${reason}`);
  }
}

function countKinds(objects: Iterable<ApiObject>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { kind } of objects) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

interface Parts {
  store: ObjectStore;
  index: Index;
  cache: ResourceCache;
  ads: AdsServer;
  sources: readonly DirectorySource[];
  log: Logger;
}

function backend({ store, index, cache, ads, sources, log }: Parts): ApiBackend {
  const writes = new Writes(store, judgeBy(index));
  const withStatus = (object: ApiObject) => {
    const conditions = conditionsOf(object, index, ads);
    if (conditions === null) return object;
    return { ...object, status: { ...(object.status as object | undefined), conditions } };
  };
  return {
    apply: (layer, text, dryRun) => writes.apply(layer, text, dryRun),
    delete: (layer, text) => writes.delete(layer, text),
    objects: (query) => listObjects(store, query).map(withStatus),
    watch: (query, send) =>
      watchObjects(store, query, (event) =>
        send(event.object === undefined ? event : { ...event, object: withStatus(event.object) }),
      ),
    status: () => ({
      version: cache.sequence,
      sources: sources.map(({ status }) => status),
      agents: ads.agents,
      ...index.counts,
    }),
    snapshot: (node) => {
      const { version, workloads, services, inbound, outbound } = index.snapshotFor(node);
      return {
        version,
        workloads: Object.fromEntries(workloads),
        services: Object.fromEntries(services),
        inbound: Object.fromEntries(inbound),
        outbound: Object.fromEntries(outbound),
        // The same as agents get it: `aquifer explain` reads it with their own code.
        resources: Object.values(TYPE_URLS).flatMap((typeUrl) => encodedResources(cache, typeUrl)),
      };
    },
    logLevel: (level) => {
      if (level !== undefined && !LOG_LEVELS.some((known) => known === level)) return null;
      if (level !== undefined) log.level = level;
      return log.level;
    },
  };
}

function encodedResources(cache: ResourceCache, typeUrl: TypeUrl): object[] {
  return [...cache.names(typeUrl)].map((name) => {
    const { version = '', bytes = new Uint8Array() } = cache.get(typeUrl, name) ?? {};
    return { typeUrl, name, version, value: Buffer.from(bytes).toString('base64') };
  });
}

/** Tries changes on the index, looks at the policies, and takes the changes back: nothing of it is published. */
function judgeBy(index: Index): Judge {
  return {
    review: (changes, refs) => {
      if (!refs.some(({ kind }) => kind === 'L4Policy')) return refs.map(() => null);
      feed(index, changes);
      index.commit();
      const reviews = refs.map(({ kind, namespace, name }) => {
        const findings = kind === 'L4Policy' ? index.findings(namespace, name) : null;
        if (findings === null) return null;
        return { errors: findings.unenforceable, warnings: [...findings.unresolved, ...findings.remarks] };
      });
      feed(
        index,
        changes.map(({ ref, object, previous }) => ({ ref, object: previous, previous: object })),
      );
      index.commit();
      return reviews;
    },
  };
}

/** Null for kinds that only Kubernetes gives a status. */
function conditionsOf(object: ApiObject, index: Index, ads: AdsServer): Condition[] | null {
  const generation = object.metadata.generation ?? 1;
  if (object.kind === 'MeshConfig') return [accepted(generation)];
  if (object.kind !== 'L4Policy') return null;
  const findings = index.findings(object.metadata.namespace ?? 'default', object.metadata.name);
  if (findings === null) return null;
  const { unenforceable, unresolved, nodes, resources } = findings;
  const isInForce = (node: string) =>
    resources.every(({ name, direction }) =>
      ads.holds(node, direction === 'Inbound' ? TYPE_URLS.authorization : TYPE_URLS.outbound, name),
    );
  const audit = (object as unknown as L4Policy).spec.enforcement === 'Audit';
  const inForce = nodes.filter(isInForce).length;
  return policyConditions({ generation, audit, unenforceable, unresolved, nodes: nodes.length, inForce });
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  const file = values.config ?? process.env.AQUIFER_CONTROLLER_CONFIG;
  if (file === undefined) throw new Error('no configuration: --config FILE or AQUIFER_CONTROLLER_CONFIG');
  const config = parseConfig(readFileSync(file, 'utf8'), file);
  const log = pino({ level: config.logLevel, base: { component: 'controller' } });
  const controller = await startController(config, log);
  let isStopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (isStopping) return;
      isStopping = true;
      void controller.close().then(() => process.exit(0));
    });
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`aquifer controller: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
