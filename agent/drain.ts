import type { Limits } from './config/limits.ts';
import type { Enrolment } from './enrolment/enrolment.ts';
import type { ConnectionRecord } from './observe/record.ts';
import type { Reviewer } from './reviewer.ts';

export interface DrainParts {
  enrolment: Enrolment;
  reviewer: Reviewer;
  live: ReadonlySet<ConnectionRecord>;
  limits: Pick<Limits, 'drainDeadlineMs' | 'drainAcceptGraceMs'>;
  log: (message: string, fields: Record<string, unknown>) => void;
  /** All is over; the process may go. */
  onDone: () => void;
}

const CHECK_MS = 50;

/** Stop accepting, let live connections end, reset what is left at the deadline. Pods stay captured throughout. */
export class Drain {
  readonly #parts: DrainParts;
  #started = false;

  constructor(parts: DrainParts) {
    this.#parts = parts;
  }

  get active(): boolean {
    return this.#started;
  }

  /**
   * `handedOver`: a successor listens already. What it did not get are handshakes that began before, so listeners stay
   * open a little longer; with nobody to follow they close at once and new connections are refused.
   */
  start(deadlineMs: number | null, handedOver: boolean): void {
    if (this.#started) return;
    this.#started = true;
    const { enrolment, limits, log, live } = this.#parts;
    const untilMs = Date.now() + (deadlineMs ?? limits.drainDeadlineMs);
    log('drain', { connections: live.size, deadlineMs: deadlineMs ?? limits.drainDeadlineMs, handedOver });
    enrolment.freeze();
    setTimeout(
      () => {
        enrolment.closeListeners();
        this.#wait(untilMs);
      },
      handedOver ? limits.drainAcceptGraceMs : 0,
    );
  }

  /** At once: what lives is reset. */
  finish(): void {
    const { enrolment, reviewer, onDone } = this.#parts;
    this.#started = true;
    enrolment.closeListeners();
    reviewer.closeAll('drain');
    // Their ends are reported on the next turn, and belong in the log.
    setImmediate(onDone);
  }

  #wait(untilMs: number): void {
    if (this.#parts.live.size === 0 || Date.now() >= untilMs) this.finish();
    else setTimeout(() => this.#wait(untilMs), CHECK_MS);
  }
}
