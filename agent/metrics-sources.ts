import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Enrolment } from './enrolment/enrolment.ts';
import type { NumberSource } from './observe/metrics.ts';
import type { Observer } from './observe/observer.ts';
import type { Tally } from './observe/tally.ts';
import type { OlderConnections } from './older.ts';
import type { Pipeline } from './pipeline.ts';
import type { Reviewer } from './reviewer.ts';

export interface NumberParts {
  enrolment: Enrolment;
  pipeline: Pipeline;
  observer: Observer;
  reviewer: Reviewer;
  older: OlderConnections;
  sync: () => { phase: string; synced: boolean; acked: number; nacked: number; connects: number };
  /** Changes that somebody made to the capture of a pod, by what was changed. */
  drifts: Tally;
  version: string;
}

const STATES = ['enrolled', 'not_enrolled', 'pending', 'failed'] as const;
const LAG_RESOLUTION_MS = 50;

/** The agent's own numbers, beside the metrics of connections. */
export function numberSources(parts: NumberParts): { gauges: NumberSource[]; counters: NumberSource[] } {
  return { gauges: gauges(parts), counters: counters(parts) };
}

function gauges({ enrolment, pipeline, observer, reviewer, sync, version }: NumberParts): NumberSource[] {
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  lag.enable();
  return [
    number('aquifer_connections_live', 'Connections that have not ended.', () => observer.live.size),
    number('aquifer_connections_held', 'Connections that wait for a policy or a workload.', () => pipeline.held.size),
    number('aquifer_connects_pending', 'Upstream connects under way.', () => pipeline.forwarder.pendingConnects),
    { name: 'aquifer_pods', help: 'Pods of this node.', label: 'state', read: () => podCounts(enrolment) },
    number('aquifer_enrolment_last_seconds', 'Duration of the last enrolment.', () => enrolment.durations.lastSeconds),
    number(
      'aquifer_review_last_seconds',
      'Duration of the last review of all live connections.',
      () => reviewer.lastSeconds,
    ),
    number('aquifer_snapshot_version', 'Version of the live snapshot.', () => pipeline.snapshot.version),
    number('aquifer_snapshot_workloads', 'Workloads in the live snapshot.', () => pipeline.snapshot.workloads.size),
    number('aquifer_snapshot_services', 'Services in the live snapshot.', () => pipeline.snapshot.services.size),
    number('aquifer_snapshot_policies', 'Policies in the live snapshot.', () => pipeline.snapshot.policies.size),
    number(
      'aquifer_snapshot_awaiting',
      'Workloads whose policies are not complete.',
      () => pipeline.snapshot.awaiting.size,
    ),
    number('aquifer_sync_connected', '1: the stream to the controller is open.', () =>
      Number(sync().phase === 'connected'),
    ),
    number('aquifer_sync_synced', '1: everything was received at least once.', () => Number(sync().synced)),
    {
      name: 'aquifer_event_loop_lag_seconds',
      help: 'Delay of the event loop since the last scrape.',
      label: 'quantile',
      read: () => {
        const values = [50, 99, 100].map((p) => [String(p / 100), lagSeconds(lag.percentile(p))] as const);
        lag.reset();
        return values;
      },
    },
    number('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss()),
    number('process_heap_bytes', 'JavaScript heap in use.', () => process.memoryUsage().heapUsed),
    { name: 'istio_build', help: 'Build of this component.', label: 'tag', read: () => [[version, 1]] },
  ];
}

function counters({ enrolment, reviewer, older, sync, drifts }: NumberParts): NumberSource[] {
  return [
    {
      name: 'aquifer_capture_drifts_total',
      help: 'Changes under an enrolled pod.',
      label: 'what',
      read: () => drifts.entries(),
    },
    number('aquifer_enrolment_duration_seconds_sum', 'Time spent in enrolments.', () => enrolment.durations.sumSeconds),
    number('aquifer_enrolment_duration_seconds_count', 'Enrolments.', () => enrolment.durations.count),
    number('aquifer_review_duration_seconds_sum', 'Time spent in reviews.', () => reviewer.secondsSum),
    number('aquifer_review_duration_seconds_count', 'Reviews of all live connections.', () => reviewer.rounds),
    number('aquifer_review_connections_total', 'Live connections judged again.', () => reviewer.reviewed),
    number('aquifer_review_closed_total', 'Live connections closed by a review.', () => reviewer.closed),
    number('aquifer_older_closed_total', 'Connections from before enrolment that were closed.', () => older.closed),
    number('aquifer_sync_acked_total', 'Responses of the controller accepted.', () => sync().acked),
    number('aquifer_sync_nacked_total', 'Responses of the controller with something refused.', () => sync().nacked),
    number('aquifer_sync_connects_total', 'Streams opened to the controller.', () => sync().connects),
    number('process_cpu_seconds_total', 'CPU time, user and system.', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }),
  ];
}

/** One plain number. */
function number(name: string, help: string, read: () => number): NumberSource {
  return { name, help, read };
}

function podCounts(enrolment: Enrolment): [string, number][] {
  const counts = new Map<string, number>(STATES.map((state) => [state, 0]));
  for (const { state } of enrolment.pods()) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts];
}

/** The histogram holds whole intervals between its own timer's ticks. */
function lagSeconds(nanoseconds: number): number {
  return Math.max(0, nanoseconds / 1e9 - LAG_RESOLUTION_MS / 1000);
}
