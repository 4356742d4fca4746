import { z } from 'zod';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

const hostPort = z.string().regex(/^(?:.*):\d{1,5}$/, { error: 'must be host:port or :port' });

/** The controller's configuration file (JSON). Unknown keys fail; the descriptions are the reference's. */
export const ControllerConfigSchema = z.strictObject({
  listen: hostPort
    .default('0.0.0.0:15012')
    .describe('host:port where agents connect (gRPC over TLS). An IP address goes into the certificate.'),
  metricsListen: hostPort
    .default(':15014')
    .describe('host:port of Prometheus metrics at /metrics, plain HTTP; without a host: all addresses.'),
  apiSocket: z
    .string()
    .min(1)
    .describe('Unix socket of the HTTP API, mode 0600: whoever opens it may change the mesh.'),
  stateDir: z
    .string()
    .min(1)
    .describe('Certificate authority, trust bundle (ca.pem) and applied objects, mode 0700: what a restart needs.'),
  sources: z
    .array(
      z.strictObject({
        directory: z.string().min(1).describe('Its .yaml, .yml and .json files are read, and again when they change.'),
      }),
    )
    .default([])
    .describe('Directories of manifests. Of one object in several the last wins, and what was applied wins over all.'),
  clusterId: z
    .string()
    .min(1)
    .default('Kubernetes')
    .describe('First part of every workload uid, and the cluster in logs and metrics.'),
  network: z.string().default('').describe('Network of every address; empty: the only one.'),
  trustDomain: z
    .string()
    .min(1)
    .default('cluster.local')
    .describe('First part of every identity, unless MeshConfig names one.'),
  clusterDomain: z
    .string()
    .min(1)
    .default('cluster.local')
    .describe("Last part of every Service's host name; must be the cluster DNS's own."),
  rootNamespace: z
    .string()
    .min(1)
    .default('aquifer-system')
    .describe('An L4Policy in it without selector or targetRefs concerns the whole mesh.'),
  honourIstioLabel: z
    .boolean()
    .default(true)
    .describe('Whether istio.io/dataplane-mode enrols pods, too; aquifer.dev/dataplane-mode wins over it.'),
  tokensFile: z
    .string()
    .min(1)
    .describe('JSON {"<token>": "<node>"}: which agent may say that it is which node; read again when it changes.'),
  logLevel: z.enum(LOG_LEVELS).default('info').describe('Least level that is logged; PUT /v1/log-level changes it.'),
});

export type ControllerConfig = Readonly<z.infer<typeof ControllerConfigSchema>>;

/** Validates the text of a configuration file; throws an Error that names every bad field. */
export function parseConfig(text: string, file: string): ControllerConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file}: not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const result = ControllerConfigSchema.safeParse(value);
  if (result.success) return Object.freeze(result.data);
  const faults = result.error.issues.map(({ path, message }) => `${path.join('.') || '(top)'}: ${message}`);
  throw new Error(`${file}: ${faults.join('; ')}`);
}
