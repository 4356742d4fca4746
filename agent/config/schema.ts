import { z } from 'zod';
import { LimitsSchema } from './limits.ts';

const hostPort = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'expected address:port, such as 172.30.0.2:15012');
const path = z.string().min(1);
const port = z.int().min(0).max(65_535);

/** The agent's configuration file. `.describe` says why a field exists; no default means that it must be given. */
export const ConfigSchema = z.strictObject({
  node: z.string().min(1).describe('Name of this node as the controller knows it.'),
  instance: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,100}$/)
    .describe('Names the pins below bpffs; two agents of one instance are predecessor and successor.'),
  podSource: z.strictObject({ directory: path.describe('Holds one <uid>.json for each pod of this node.') }),
  controller: z.strictObject({
    address: hostPort.describe('host:port of the discovery service.'),
    caFile: path.describe('PEM trust bundle of the channel; read again at each reconnect.'),
    tokenFile: path.describe('Bearer token of this node; read again at each reconnect.'),
    serverName: z
      .string()
      .default('aquifer-controller.aquifer-system.svc')
      .describe("Name in the controller's certificate."),
  }),
  stateDir: path.describe(
    'Last snapshot and enrolled pods, mode 0700, on tmpfs: what a restart needs without a controller.',
  ),
  bpffs: path.default('/sys/fs/bpf').describe('Where BPF state is pinned, so that it outlives the agent.'),
  cgroupRoot: path
    .default('/sys/fs/cgroup')
    .describe('Root of the v2 hierarchy: the connect program is attached here.'),
  agentCgroup: path.describe("The agent's own sockets are known by this cgroup."),
  nodeCgroup: path.describe("The kubelet's cgroup: its connections to declared probe ports pass."),
  admin: z.strictObject({
    socket: path.describe('Unix socket of the admin API, mode 0600.'),
    port: port.default(15_000).describe('The same over TCP on 127.0.0.1, without drain; 0: off.'),
  }),
  metrics: z
    .strictObject({
      address: z.string().default('0.0.0.0').describe('Address to listen on: a scraper must reach it.'),
      port: port.default(15_020).describe('/metrics and /stats/prometheus; 0: off.'),
    })
    .prefault({}),
  readiness: z
    .strictObject({
      address: z.string().default('0.0.0.0').describe('Address to listen on: the kubelet must reach it.'),
      port: port.default(15_021).describe('/healthz/ready; 0: off.'),
    })
    .prefault({}),
  accessLog: z
    .strictObject({
      enabled: z.boolean().default(true).describe('One line for each connection that ended or was refused.'),
      format: z
        .enum(['text', 'json'])
        .default('text')
        .describe("text: ztunnel's field order; json: one object a line."),
      file: path.default('/dev/stdout').describe('Where lines go; /dev/stdout is the process output.'),
    })
    .prefault({}),
  trustDomain: z
    .string()
    .min(1)
    .default('cluster.local')
    .describe('Changes nothing yet: identities carry the trust domain of the controller.'),
  clusterId: z
    .string()
    .min(1)
    .default('Kubernetes')
    .describe("Changes nothing yet: logs and metrics name the controller's cluster."),
  enrolment: z
    .strictObject({
      capabilities: z
        .enum(['Warn', 'Refuse'])
        .default('Warn')
        .describe('Pods with CAP_NET_RAW or CAP_NET_ADMIN can send past the capture: say so, or do not enrol them.'),
    })
    .prefault({}),
  limits: LimitsSchema,
  logLevel: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
    .default('info')
    .describe('Least level that is logged; PUT /logging changes it.'),
});

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** Valid, complete and frozen. */
export type Config = DeepReadonly<z.infer<typeof ConfigSchema>>;
