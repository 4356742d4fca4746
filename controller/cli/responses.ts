/** What the controller and the agents answer, as far as the command reads it; unknown fields pass. */
import { z } from 'zod';

const place = z.object({
  file: z.string().nullish(),
  line: z.number().nullish(),
  field: z.string().nullish(),
  reason: z.string(),
  hint: z.string().nullish(),
});
/** One thing that is wrong with an object, and where. */
export type Finding = z.infer<typeof place>;

const applied = z.object({
  kind: z.string(),
  namespace: z.string().nullish(),
  name: z.string(),
  result: z.string(),
  errors: z.array(place).default([]),
  warnings: z.array(place).default([]),
});
export type AppliedObject = z.infer<typeof applied>;

/** `POST /v1/apply` and `/v1/delete`. */
export const APPLY_REPLY = z.object({ results: z.array(applied) });

const condition = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string().default(''),
  message: z.string().default(''),
});
export type Condition = z.infer<typeof condition>;

const meshObject = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
  }),
  spec: z.looseObject({}).optional(),
  status: z.looseObject({ conditions: z.array(condition).optional().catch(undefined) }).optional(),
});
/** An object of the API with its computed status. */
export type MeshObject = z.infer<typeof meshObject>;

/** `GET /v1/objects`. */
export const OBJECTS_REPLY = z.object({ items: z.array(meshObject) });

/** `GET /v1/status`. */
export const STATUS_REPLY = z.object({
  version: z.union([z.string(), z.number()]),
  sources: z
    .array(z.object({ directory: z.string(), files: z.number().catch(0), errors: z.array(place).default([]) }))
    .default([]),
  agents: z
    .array(
      z.object({
        node: z.string(),
        connected: z.boolean(),
        lastError: z.string().nullish(),
        snapshotVersion: z.union([z.string(), z.number()]).nullish(),
      }),
    )
    .default([]),
  policies: z.number().default(0),
  workloads: z.number().default(0),
  services: z.number().default(0),
});

const agentPod = z.object({
  uid: z.string(),
  namespace: z.string(),
  name: z.string(),
  state: z.string(),
  reason: z.string().nullish(),
  connections: z.number().default(0),
});
export type AgentPod = z.infer<typeof agentPod>;

/** `GET /pods` of an agent. */
export const PODS_REPLY = z.array(agentPod);

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? null);

/** One line of an agent's `GET /flows`; the names are those of the access log. */
export const FLOW = z.looseObject({
  event: z.enum(['open', 'end', 'refused']),
  time: z.string(),
  direction: z.string(),
  'src.addr': text,
  'src.workload': text,
  'src.namespace': text,
  'dst.addr': text,
  'dst.service': text,
  'dst.workload': text,
  'dst.namespace': text,
  path: text,
  attested: text,
  policy: text,
  reason: z.string().default('ok'),
  error: text,
  duration: text,
  bytes_sent: z.number().default(0),
  bytes_recv: z.number().default(0),
});
export type Flow = z.infer<typeof FLOW>;
