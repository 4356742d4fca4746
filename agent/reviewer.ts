import type { Reason } from './model/connection.ts';
import type { Snapshot } from './model/snapshot.ts';
import type { ConnectionRecord } from './observe/record.ts';
import type { Judge, Pipeline } from './pipeline.ts';

export interface ReviewerParts {
  pipeline: Pipeline;
  judge: Judge;
  live: ReadonlySet<ConnectionRecord>;
  batch: number;
  /** Runs after the loop has turned once. */
  later: (callback: () => void) => void;
  monotonicMs: () => number;
}

/** Judges every live connection again when the snapshot changes and closes exactly the forbidden ones. */
export class Reviewer {
  /** Since start; read at scrape. */
  reviewed = 0;
  closed = 0;
  rounds = 0;
  secondsSum = 0;
  lastSeconds = 0;
  readonly #parts: ReviewerParts;

  constructor(parts: ReviewerParts) {
    this.#parts = parts;
  }

  /** In slices, so that new connections are not held up behind a hundred thousand old ones. A newer snapshot takes over. */
  onSnapshot(snapshot: Snapshot): void {
    this.#slice(this.#parts.live.values(), snapshot, this.#parts.monotonicMs());
  }

  /** Closes all, or those of one pod. */
  closeAll(reason: Reason, podUid: string | null = null): void {
    for (const record of this.#parts.live) {
      if (podUid === null || record.pod.uid === podUid) this.#parts.pipeline.close(record, reason);
    }
  }

  #slice(records: SetIterator<ConnectionRecord>, snapshot: Snapshot, startedMs: number): void {
    const { pipeline, batch, later, monotonicMs } = this.#parts;
    if (pipeline.snapshot !== snapshot) return;
    for (let left = batch; left > 0; left--) {
      const next = records.next();
      if (next.done) {
        this.rounds++;
        this.lastSeconds = (monotonicMs() - startedMs) / 1000;
        this.secondsSum += this.lastSeconds;
        return;
      }
      this.#review(next.value, snapshot);
    }
    later(() => this.#slice(records, snapshot, startedMs));
  }

  #review(record: ConnectionRecord, snapshot: Snapshot): void {
    // What waits or has just been accepted is decided from scratch, not reviewed.
    if (record.state !== 'open' && record.state !== 'connecting') return;
    this.reviewed++;
    const reason = this.#parts.judge.review(record, snapshot);
    if (reason === null || record.closing !== null) return;
    this.closed++;
    this.#parts.pipeline.close(record, reason);
  }
}
