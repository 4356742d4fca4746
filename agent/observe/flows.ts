import { type ConnectionFields, fieldsOf } from './fields.ts';
import type { ConnectionRecord } from './record.ts';

/** A reader of the flow stream. `queuedBytes` is what it has not taken yet. */
export interface FlowSubscriber {
  write(line: string): void;
  queuedBytes(): number;
}

export interface FlowLimits {
  flowSubscribers: number;
  flowQueueBytes: number;
}

/** Fans connection events out to `GET /flows`; costs nothing while nobody listens. A slow reader loses lines, counted. */
export class FlowStream {
  readonly #subscribers = new Set<FlowSubscriber>();
  readonly #limits: FlowLimits;
  readonly #onLimit: (limit: keyof FlowLimits) => void;

  constructor(limits: FlowLimits, onLimit: (limit: keyof FlowLimits) => void) {
    this.#limits = limits;
    this.#onLimit = onLimit;
  }

  get active(): boolean {
    return this.#subscribers.size > 0;
  }

  /** False when there are too many. */
  subscribe(subscriber: FlowSubscriber): boolean {
    if (this.#subscribers.size >= this.#limits.flowSubscribers) {
      this.#onLimit('flowSubscribers');
      return false;
    }
    this.#subscribers.add(subscriber);
    return true;
  }

  unsubscribe(subscriber: FlowSubscriber): void {
    this.#subscribers.delete(subscriber);
  }

  publish(event: 'open' | 'end' | 'refused', record: ConnectionRecord, wallMs: number, durationMs: number): void {
    const fields: ConnectionFields = { event, time: new Date(wallMs).toISOString(), ...fieldsOf(record, durationMs) };
    const line = `${JSON.stringify(fields)}\n`;
    for (const subscriber of this.#subscribers) {
      if (subscriber.queuedBytes() + line.length > this.#limits.flowQueueBytes) this.#onLimit('flowQueueBytes');
      else subscriber.write(line);
    }
  }
}
