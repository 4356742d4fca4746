import { formatSpiffe } from '../model/identity.ts';
import type { Service, Workload } from '../model/workload.ts';
import { Interner } from './interner.ts';
import { RESPONSE_FLAGS, type ResponseFlags } from './reasons.ts';

export type Reporter = 'source' | 'destination';
type Labels = Readonly<Record<string, string>>;

/** Counters of one label set: plain numbers, read at scrape. */
export class Series {
  readonly labels: Labels;
  opened = 0;
  closed = 0;
  failed = 0;
  /** From the client, as the server sees it. */
  receivedBytes = 0;
  /** To the client. */
  sentBytes = 0;

  constructor(labels: Labels) {
    this.labels = labels;
  }
}

const PARTY_LABELS = [
  'workload',
  'canonical_service',
  'canonical_revision',
  'workload_namespace',
  'principal',
  'app',
  'version',
  'cluster',
] as const;

/** Label names of the connection metrics, as Istio's dashboards read them. */
export const SERIES_LABELS: readonly string[] = Object.freeze([
  'reporter',
  ...PARTY_LABELS.map((name) => `source_${name}`),
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
  ...PARTY_LABELS.map((name) => `destination_${name}`),
  'request_protocol',
  'response_flags',
  'connection_security_policy',
]);

/** Ids must stay below these so that a key of the series table is one exact double. */
const PARTIES = 65_536;
const SERVICES = 8_192;
const FLAGS = 4;

/**
 * Finds the counters of a connection without building a string: workloads and services are interned to small numbers
 * once for each snapshot that renews them, and the numbers make the key. Pods of one Deployment share a series.
 */
export class SeriesTable {
  readonly #parties = new Interner<Workload>(PARTIES, partyLabels);
  readonly #attested = new Interner<Workload>(PARTIES, attestedLabels);
  readonly #services = new Interner<Service>(SERVICES, serviceLabels);
  readonly #series = new Map<number, Series>();
  readonly #maxSeries: number;
  readonly #onLimit: () => void;

  constructor(maxSeries: number, onLimit: () => void) {
    this.#maxSeries = maxSeries;
    this.#onLimit = onLimit;
  }

  /** A principal is a label only where it was attested. */
  find(
    reporter: Reporter,
    source: Workload | null,
    sourceAttested: boolean,
    destination: Workload | null,
    destinationAttested: boolean,
    service: Service | null,
    flags: ResponseFlags,
  ): Series {
    const sources = sourceAttested ? this.#attested : this.#parties;
    const destinations = destinationAttested ? this.#attested : this.#parties;
    const bits = (reporter === 'source' ? 1 : 0) + (sourceAttested ? 2 : 0) + (destinationAttested ? 4 : 0);
    const ends = (sources.id(source) * PARTIES + destinations.id(destination)) * SERVICES + this.#services.id(service);
    const key = (ends * FLAGS + RESPONSE_FLAGS.indexOf(flags)) * 8 + bits;
    const found = this.#series.get(key);
    if (found !== undefined) return found;
    const overflow = this.#series.size >= this.#maxSeries;
    if (overflow) this.#onLimit();
    const series = overflow
      ? this.#overflow(reporter, flags)
      : new Series(
          labels(
            reporter,
            sources.labels(source),
            destinations.labels(destination),
            this.#services.labels(service),
            flags,
          ),
        );
    if (!overflow) this.#series.set(key, series);
    return series;
  }

  all(): Iterable<Series> {
    return this.#series.values();
  }

  /** Negative keys: at most one for each reporter and flag, beyond the limit so that nothing goes uncounted. */
  #overflow(reporter: Reporter, flags: ResponseFlags): Series {
    const key = -1 - RESPONSE_FLAGS.indexOf(flags) * 2 - (reporter === 'source' ? 1 : 0);
    const found = this.#series.get(key);
    if (found !== undefined) return found;
    const party = Object.fromEntries(PARTY_LABELS.map((name) => [name, 'overflow']));
    const series = new Series(labels(reporter, party, party, serviceLabels(null, 'overflow'), flags));
    this.#series.set(key, series);
    return series;
  }
}

function labels(
  reporter: Reporter,
  source: Labels,
  destination: Labels,
  service: Labels,
  flags: ResponseFlags,
): Labels {
  const all: Record<string, string> = { reporter };
  for (const name of PARTY_LABELS) all[`source_${name}`] = source[name] ?? 'unknown';
  Object.assign(all, service);
  for (const name of PARTY_LABELS) all[`destination_${name}`] = destination[name] ?? 'unknown';
  return Object.assign(all, { request_protocol: 'tcp', response_flags: flags, connection_security_policy: 'unknown' });
}

function partyLabels(workload: Workload | null): Labels {
  if (workload === null) return {};
  return {
    workload: orUnknown(workload.workloadName),
    canonical_service: orUnknown(workload.canonicalName),
    canonical_revision: orUnknown(workload.canonicalRevision),
    workload_namespace: orUnknown(workload.namespace),
    principal: 'unknown',
    app: orUnknown(workload.canonicalName),
    version: orUnknown(workload.canonicalRevision),
    cluster: orUnknown(workload.clusterId),
  };
}

function attestedLabels(workload: Workload | null): Labels {
  return workload === null ? {} : { ...partyLabels(workload), principal: formatSpiffe(workload.identity) };
}

function serviceLabels(service: Service | null, absent = 'unknown'): Labels {
  return {
    destination_service: service?.hostname ?? absent,
    destination_service_namespace: service?.namespace ?? absent,
    destination_service_name: service?.name ?? absent,
  };
}

const orUnknown = (value: string): string => (value === '' ? 'unknown' : value);
