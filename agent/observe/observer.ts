import assert from 'node:assert/strict';
import type { Reason } from '../model/connection.ts';
import type { AccessLog } from './access-log.ts';
import { destinationAttested } from './fields.ts';
import type { FlowStream } from './flows.ts';
import { REASONS, type ResponseFlags } from './reasons.ts';
import type { ConnectionRecord } from './record.ts';
import type { Reporter, Series, SeriesTable } from './series.ts';
import type { Tally } from './tally.ts';

export interface Clock {
  /** Milliseconds since 1970. */
  wallMs(): number;
  monotonicMs(): number;
}

/**
 * The one place that turns connections into metrics, access log and flow stream. Each record is begun once, opened at
 * most once and finished exactly once; the set of those in between is the table of live connections.
 */
export class Observer {
  readonly live = new Set<ConnectionRecord>();
  /** Refusals and ends, by reason. */
  readonly refusals: Tally;
  readonly ends: Tally;
  readonly series: SeriesTable;
  readonly #accessLog: AccessLog;
  readonly #flows: FlowStream;
  readonly #clock: Clock;

  constructor(parts: {
    series: SeriesTable;
    refusals: Tally;
    ends: Tally;
    accessLog: AccessLog;
    flows: FlowStream;
    clock: Clock;
  }) {
    this.series = parts.series;
    this.refusals = parts.refusals;
    this.ends = parts.ends;
    this.#accessLog = parts.accessLog;
    this.#flows = parts.flows;
    this.#clock = parts.clock;
  }

  begin(record: ConnectionRecord): void {
    this.live.add(record);
  }

  /** Bytes can flow: the upstream is connected. */
  opened(record: ConnectionRecord): void {
    record.state = 'open';
    record.wasOpen = true;
    if (record.direction === 'outbound') record.sourceSeries = this.#seriesOf(record, 'source', '-');
    if (destinationAttested(record)) record.destinationSeries = this.#seriesOf(record, 'destination', '-');
    if (record.sourceSeries !== null) record.sourceSeries.opened++;
    if (record.destinationSeries !== null) record.destinationSeries.opened++;
    if (this.#flows.active) this.#flows.publish('open', record, this.#clock.wallMs(), this.#ageMs(record));
  }

  /** Ends a record, whatever its state. The flow is let go here. */
  finish(record: ConnectionRecord, reason: Reason, errorCode: string): void {
    assert(record.state !== 'ended', 'a connection ends once');
    const opened = record.wasOpen;
    record.state = 'ended';
    record.reason = reason;
    record.errorCode = errorCode;
    this.live.delete(record);
    this.settle(record);
    (opened ? this.ends : this.refusals).add(reason);
    this.#count(record, opened, REASONS[reason].flags);
    const wallMs = this.#clock.wallMs();
    const ageMs = this.#ageMs(record);
    this.#accessLog.write(record, wallMs, ageMs, record.sentCounted, record.receivedCounted);
    if (this.#flows.active) {
      // What nobody forbade but could not be reached has ended; it was not refused.
      const event = opened || REASONS[reason].flags === 'CONNECT' ? 'end' : 'refused';
      this.#flows.publish(event, record, wallMs, ageMs);
    }
    record.flow = null;
  }

  /** Brings the byte counters of open connections up to date; called before a scrape. */
  settleAll(): void {
    for (const record of this.live) this.settle(record);
  }

  settle(record: ConnectionRecord): void {
    const { flow } = record;
    if (flow === null) return;
    const sent = flow.bytesReceived();
    const received = flow.bytesSent();
    add(record.sourceSeries, sent - record.sentCounted, received - record.receivedCounted);
    add(record.destinationSeries, sent - record.sentCounted, received - record.receivedCounted);
    record.sentCounted = sent;
    record.receivedCounted = received;
  }

  /** For dumps. */
  ageMs(record: ConnectionRecord): number {
    return this.#ageMs(record);
  }

  #count(record: ConnectionRecord, opened: boolean, flags: ResponseFlags): void {
    const counter = opened ? 'closed' : 'failed';
    if (record.direction === 'outbound') {
      const series = opened && flags === '-' ? record.sourceSeries : this.#seriesOf(record, 'source', flags);
      if (series !== null) series[counter]++;
    }
    if (destinationAttested(record)) {
      const series = opened && flags === '-' ? record.destinationSeries : this.#seriesOf(record, 'destination', flags);
      if (series !== null) series[counter]++;
    }
  }

  #seriesOf(record: ConnectionRecord, reporter: Reporter, flags: ResponseFlags): Series {
    const { source, sourceIdentity, destination, service } = record.facts;
    const known = destinationAttested(record);
    return this.series.find(reporter, source, sourceIdentity !== null, destination, known, service, flags);
  }

  #ageMs(record: ConnectionRecord): number {
    return this.#clock.monotonicMs() - record.startedMs;
  }
}

function add(series: Series | null, sentBytes: number, receivedBytes: number): void {
  if (series === null) return;
  series.sentBytes += sentBytes;
  series.receivedBytes += receivedBytes;
}
