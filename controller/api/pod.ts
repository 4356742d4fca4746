import { z } from 'zod';
import { objectMeta } from './metadata.ts';
import { ipAddress, portNumber } from './scalars.ts';

const portOrName = z.union([portNumber, z.string()]);

const handler = z.looseObject({
  httpGet: z.looseObject({ port: portOrName, host: z.string().optional() }).nullish(),
  tcpSocket: z.looseObject({ port: portOrName, host: z.string().optional() }).nullish(),
  grpc: z.looseObject({ port: portNumber }).nullish(),
});

/** A probe or lifecycle hook: what calls from the node arrive on. */
export type Handler = z.infer<typeof handler>;

const container = z.looseObject({
  name: z.string(),
  image: z.string().optional(),
  command: z.array(z.string()).nullish(),
  args: z.array(z.string()).nullish(),
  restartPolicy: z.string().optional(),
  ports: z
    .array(
      z.looseObject({
        name: z.string().optional(),
        containerPort: portNumber,
        protocol: z.enum(['TCP', 'UDP', 'SCTP']).optional(),
      }),
    )
    .nullish(),
  livenessProbe: handler.nullish(),
  readinessProbe: handler.nullish(),
  startupProbe: handler.nullish(),
  lifecycle: z.looseObject({ postStart: handler.nullish(), preStop: handler.nullish() }).nullish(),
});

export type Container = z.infer<typeof container>;

/** Pod spec, as it also stands in a Deployment's template. */
export const podSpec = z.looseObject({
  containers: z.array(container).min(1),
  initContainers: z.array(container).nullish(),
  serviceAccountName: z.string().optional(),
  serviceAccount: z.string().optional(),
  nodeName: z.string().optional(),
  hostNetwork: z.boolean().optional(),
});

const podStatus = z.looseObject({
  phase: z.enum(['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown']).optional(),
  podIP: z.union([ipAddress, z.literal('')]).optional(),
  podIPs: z.array(z.looseObject({ ip: ipAddress })).nullish(),
  conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).nullish(),
});

/** core/v1 Pod: what we read is checked, all else is kept. */
export const pod = z.looseObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('Pod'),
  metadata: objectMeta,
  spec: podSpec,
  status: podStatus.nullish(),
});

export type Pod = z.infer<typeof pod>;
