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

interface Round {
  records: SetIterator<ConnectionRecord>;
  snapshot: Snapshot;
  review: ReturnType<Judge['review']>;
  startedMs: number;
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
    const { live, judge, monotonicMs } = this.#parts;
    this.#slice({ records: live.values(), snapshot, review: judge.review(snapshot), startedMs: monotonicMs() });
  }

  /** Closes all, or those of one pod. */
  closeAll(reason: Reason, podUid: string | null = null): void {
    const records = [...this.#parts.live].filter((record) => podUid === null || record.pod.uid === podUid);
    this.#parts.pipeline.closeMany(
      records,
      records.map(() => reason),
    );
  }

  #slice(round: Round): void {
    const { pipeline, batch, later, monotonicMs } = this.#parts;
    const { records, snapshot, review, startedMs } = round;
    if (pipeline.snapshot !== snapshot) return;
    const forbidden: ConnectionRecord[] = [];
    const reasons: Reason[] = [];
    let done = false;
    for (let left = batch; left > 0; left--) {
      const next = records.next();
      done = next.done === true;
      if (next.done) break;
      const reason = this.#review(next.value, review);
      if (reason === null) continue;
      forbidden.push(next.value);
      reasons.push(reason);
    }
    this.closed += forbidden.length;
    pipeline.closeMany(forbidden, reasons);
    if (!done) {
      later(() => this.#slice(round));
      return;
    }
    this.rounds++;
    this.lastSeconds = (monotonicMs() - startedMs) / 1000;
    this.secondsSum += this.lastSeconds;
  }

  #review(record: ConnectionRecord, review: Round['review']): Reason | null {
    // What waits or has just been accepted is decided from scratch, not reviewed.
    if ((record.state !== 'open' && record.state !== 'connecting') || record.closing !== null) return null;
    this.reviewed++;
    return review.of(record);
  }
}
