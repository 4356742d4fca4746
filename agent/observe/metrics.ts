import { Counter, Gauge, Registry } from 'prom-client';
import type { Observer } from './observer.ts';
import { SERIES_LABELS, type Series } from './series.ts';
import type { Tally } from './tally.ts';

/** Numbers that other parts keep; read when somebody scrapes and at no other time. */
export interface MetricSources {
  observer: Observer;
  limitHits: Tally;
  /** Refusals and passes in the kernel, by reason. */
  kernelVerdicts(): Record<string, number>;
  gauges: readonly NumberSource[];
  counters: readonly NumberSource[];
}

/** A metric in base units with at most one label. */
export interface NumberSource {
  name: string;
  help: string;
  label?: string;
  read(): number | Iterable<readonly [string, number]>;
}

const CONNECTION_COUNTERS: readonly [string, string, (series: Series) => number][] = [
  ['istio_tcp_connections_opened_total', 'Connections opened.', (series) => series.opened],
  ['istio_tcp_connections_closed_total', 'Connections closed.', (series) => series.closed],
  [
    'istio_tcp_connections_failed_total',
    'Connections refused, or whose upstream could not be reached.',
    (series) => series.failed,
  ],
  ['istio_tcp_received_bytes_total', 'Bytes from the client to the server.', (series) => series.receivedBytes],
  ['istio_tcp_sent_bytes_total', 'Bytes from the server to the client.', (series) => series.sentBytes],
];

/** Everything of `GET /metrics`. */
export function buildRegistry(sources: MetricSources): Registry {
  const registry = new Registry();
  const { observer } = sources;
  for (const [name, help, read] of CONNECTION_COUNTERS) {
    const counter: Counter = new Counter({
      name,
      help,
      labelNames: [...SERIES_LABELS],
      registers: [registry],
      collect: () => {
        observer.settleAll();
        counter.reset();
        for (const series of observer.series.all()) {
          const value = read(series);
          if (value > 0) counter.inc(series.labels, value);
        }
      },
    });
  }
  const counters: NumberSource[] = [
    {
      name: 'aquifer_kernel_verdicts_total',
      help: 'Verdicts of the BPF programs.',
      label: 'reason',
      read: () => Object.entries(sources.kernelVerdicts()),
    },
    {
      name: 'aquifer_connections_refused_total',
      help: 'Connections that never carried a byte.',
      label: 'reason',
      read: () => observer.refusals.entries(),
    },
    {
      name: 'aquifer_connections_ended_total',
      help: 'Connections that had been open.',
      label: 'reason',
      read: () => observer.ends.entries(),
    },
    {
      name: 'aquifer_limit_hits_total',
      help: 'Times that a configured limit was reached.',
      label: 'limit',
      read: () => sources.limitHits.entries(),
    },
    ...sources.counters,
  ];
  for (const source of counters) addCounter(registry, source);
  for (const source of sources.gauges) addGauge(registry, source);
  return registry;
}

function addCounter(registry: Registry, source: NumberSource): void {
  const counter: Counter = new Counter({
    ...head(source, registry),
    collect: () => {
      counter.reset();
      const value = source.read();
      if (typeof value === 'number') counter.inc(value);
      else for (const [label, count] of value) counter.inc({ [source.label ?? 'name']: label }, count);
    },
  });
}

function addGauge(registry: Registry, source: NumberSource): void {
  const gauge: Gauge = new Gauge({
    ...head(source, registry),
    collect: () => {
      gauge.reset();
      const value = source.read();
      if (typeof value === 'number') gauge.set(value);
      else for (const [label, count] of value) gauge.set({ [source.label ?? 'name']: label }, count);
    },
  });
}

function head(
  { name, help, label }: NumberSource,
  registry: Registry,
): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
  return { name, help, labelNames: label === undefined ? [] : [label], registers: [registry] };
}
