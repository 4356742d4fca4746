import { z } from 'zod';

/**
 * Every bound of the data path. A limit that is hit refuses or drops, never waits without end, and counts in
 * `aquifer_limit_hits_total{limit="<field>"}`.
 */
export const LimitsSchema = z
  .strictObject({
    connectionsPerPod: z
      .int()
      .min(1)
      .default(20_000)
      .describe('Live connections of one pod; more would starve its neighbours.'),
    connectionsPerAgent: z
      .int()
      .min(1)
      .default(100_000)
      .describe('Live connections of all pods; bounds memory at about 12 KB each.'),
    pendingConnects: z
      .int()
      .min(1)
      .default(4_096)
      .describe('Upstream connects under way; a scan of dead addresses must not pile up.'),
    heldConnections: z.int().min(1).default(4_096).describe('Connections that wait for policy or identity.'),
    acceptBatchConnections: z
      .int()
      .min(1)
      .max(1024)
      .default(32)
      .describe("Accepts for each wake-up, so that one pod's flood does not starve the others."),
    listenBacklogConnections: z
      .int()
      .min(1)
      .max(65_535)
      .default(1_024)
      .describe('Accept queue of each in-pod listener.'),
    connectTimeoutMs: z
      .int()
      .min(10)
      .default(5_000)
      .describe('One upstream connect; below the 10 s that most clients wait.'),
    connectAttempts: z
      .int()
      .min(1)
      .max(10)
      .default(3)
      .describe('Endpoints tried for a Service when connects fail, the first one included.'),
    relayBufferBytes: z
      .int()
      .min(4_096)
      .default(65_536)
      .describe('Held for each direction while its receiver does not read; allocated only then.'),
    idleTimeoutMs: z
      .int()
      .min(0)
      .default(0)
      .describe('RST when nothing moved for so long; 0 is never, as without a mesh.'),
    keepaliveTimeMs: z
      .int()
      .min(1_000)
      .max(32_000_000)
      .default(180_000)
      .describe('A silent peer is probed after this, in whole seconds: the app’s own probes end at the agent.'),
    keepaliveIntervalMs: z
      .int()
      .min(1_000)
      .max(32_000_000)
      .default(20_000)
      .describe('Pause between probes that nobody answers, in whole seconds.'),
    keepaliveProbes: z
      .int()
      .min(1)
      .max(127)
      .default(9)
      .describe('Unanswered probes after which a peer has vanished: RST to the other side.'),
    drainDeadlineMs: z
      .int()
      .min(0)
      .default(30_000)
      .describe('How long a drain waits before live connections are reset; below a usual terminationGracePeriod.'),
    drainAcceptGraceMs: z
      .int()
      .min(0)
      .default(1_000)
      .describe(
        'A drain, and a pod that leaves the mesh, still accept for so long: handshakes that began before end here.',
      ),
    holdTimeMs: z
      .int()
      .min(0)
      .default(5_000)
      .describe('How long a connection waits for policy or identity; below the usual client timeout.'),
    logQueueBytes: z
      .int()
      .min(4_096)
      .default(1_048_576)
      .describe('Access log text that waits for a slow disk; beyond it lines are dropped and counted.'),
    logFlushIntervalMs: z.int().min(1).default(200).describe('Longest time that a line stays in memory.'),
    flowSubscribers: z.int().min(0).default(8).describe('Readers of GET /flows at a time.'),
    flowQueueBytes: z
      .int()
      .min(4_096)
      .default(262_144)
      .describe('Waiting for a slow reader of /flows; beyond it records are dropped and counted.'),
    olderConnectionsPerPod: z
      .int()
      .min(0)
      .default(4_096)
      .describe('Connections open before enrolment that are kept; more are reset.'),
    metricSeries: z
      .int()
      .min(16)
      .default(10_000)
      .describe('Label sets of connection metrics; more are counted as one set of "overflow" labels.'),
    reevaluationBatchConnections: z
      .int()
      .min(1)
      .default(5_000)
      .describe('Live connections re-decided before the loop turns once.'),
    affinityEntries: z
      .int()
      .min(1)
      .default(65_536)
      .describe('Clients that sessionAffinity remembers; the quietest is forgotten first.'),
    ejectionEntries: z
      .int()
      .min(1)
      .default(8_192)
      .describe('Endpoints with failures that are remembered; the oldest is forgotten first.'),
    ejectionMinMs: z
      .int()
      .min(1)
      .default(500)
      .describe('First ejection; short, since the pod may only be starting. Doubles each time.'),
    ejectionMaxMs: z.int().min(1).default(30_000).describe('Longest ejection.'),
    podWaitMs: z.int().min(0).default(60_000).describe('Longest long-poll of GET /pods/<uid>?waitMs=.'),
    podWaiters: z.int().min(1).default(1_024).describe('Long-polls at a time.'),
    adminConnections: z
      .int()
      .min(8)
      .default(1_280)
      .describe('Connections to each admin endpoint at a time; a long-poll holds one, so more than podWaiters.'),
    adminBodyBytes: z.int().min(256).default(65_536).describe('Body of an admin request.'),
    enrolRetryMinMs: z.int().min(10).default(250).describe('First retry of a failed enrolment; doubles each time.'),
    enrolRetryMaxMs: z.int().min(10).default(30_000).describe('Longest pause between enrolment retries.'),
    podScanIntervalMs: z
      .int()
      .min(100)
      .default(5_000)
      .describe('Re-reads the pod source in case the kernel dropped a notification.'),
    maintenanceIntervalMs: z
      .int()
      .min(100)
      .default(5_000)
      .describe('How often rules, routes and programs of each pod are compared with what they ought to be.'),
    kernelEventsPerSecond: z
      .int()
      .min(0)
      .default(20)
      .describe('Refusals in the kernel that are logged; all are counted.'),
  })
  .prefault({});

/** Units end the names: `Ms`, `Bytes`; what has neither is a count. */
export type Limits = Readonly<z.infer<typeof LimitsSchema>>;
