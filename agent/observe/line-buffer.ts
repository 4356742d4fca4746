import type { LogSink } from './access-log.ts';

/** Large enough that what a write costs by itself no longer shows, small beside the queue's bound. */
const CHUNK_CHARACTERS = 16_384;

/**
 * Puts lines together before the sink sees them: to a buffered writer each write is a measuring and a copying of its
 * own, some 2 µs for each connection. A line waits for `intervalMs` at most.
 */
export class LineBuffer implements LogSink {
  readonly #sink: LogSink;
  readonly #intervalMs: number;
  readonly #later: (callback: () => void, delayMs: number) => void;
  #text = '';
  #scheduled = false;

  constructor(sink: LogSink, intervalMs: number, later: (callback: () => void, delayMs: number) => void) {
    this.#sink = sink;
    this.#intervalMs = intervalMs;
    this.#later = later;
  }

  write(line: string): void {
    this.#text += line;
    if (this.#text.length >= CHUNK_CHARACTERS) {
      this.flush();
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#later(() => {
      this.#scheduled = false;
      this.flush();
    }, this.#intervalMs);
  }

  flush(): void {
    const text = this.#text;
    if (text === '') return;
    this.#text = '';
    this.#sink.write(text);
  }
}
