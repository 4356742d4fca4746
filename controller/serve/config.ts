import { z } from 'zod';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

const hostPort = z.string().regex(/^(?:.*):\d{1,5}$/, { error: 'must be host:port or :port' });

/** The controller's configuration file (JSON). Unknown keys fail. */
const schema = z.strictObject({
  /** Where agents connect (gRPC over TLS). The host goes into the certificate. */
  listen: hostPort.default('0.0.0.0:15012'),
  /** Prometheus metrics at `/metrics`, plain HTTP. */
  metricsListen: hostPort.default(':15014'),
  /** Unix socket of the HTTP API (0600). */
  apiSocket: z.string().min(1),
  /** Authority, trust bundle and persisted objects (0700). */
  stateDir: z.string().min(1),
  /** Directories of manifests, later ones winning. */
  sources: z.array(z.strictObject({ directory: z.string().min(1) })).default([]),
  /** First part of every workload's uid. */
  clusterId: z.string().min(1).default('Kubernetes'),
  /** Network of every address; empty: the only one. */
  network: z.string().default(''),
  /** First part of every identity, unless MeshConfig names one. */
  trustDomain: z.string().min(1).default('cluster.local'),
  /** Last part of every Service's host name. */
  clusterDomain: z.string().min(1).default('cluster.local'),
  /** Policies in it without selector or targetRefs concern the whole mesh. */
  rootNamespace: z.string().min(1).default('aquifer-system'),
  /** Whether `istio.io/dataplane-mode` enrols, too. */
  honourIstioLabel: z.boolean().default(true),
  /** `{"<token>": "<node>"}`, read again when it changes. */
  tokensFile: z.string().min(1),
  logLevel: z.enum(LOG_LEVELS).default('info'),
});

export type ControllerConfig = Readonly<z.infer<typeof schema>>;

/** Validates the text of a configuration file; throws an Error that names every bad field. */
export function parseConfig(text: string, file: string): ControllerConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file}: not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const result = schema.safeParse(value);
  if (result.success) return Object.freeze(result.data);
  const faults = result.error.issues.map(({ path, message }) => `${path.join('.') || '(top)'}: ${message}`);
  throw new Error(`${file}: ${faults.join('; ')}`);
}
