import { accessLine } from './access-line.ts';
import { fieldsOf } from './fields.ts';
import type { ConnectionRecord } from './record.ts';

/** Buffered writer that never blocks (pino's destination); text beyond its bound is dropped and reported by itself. */
export interface LogSink {
  write(text: string): unknown;
}

/** Writes one line for each ended or refused connection. */
export interface AccessLog {
  write(record: ConnectionRecord, wallMs: number, durationMs: number, sentBytes: number, receivedBytes: number): void;
}

/** ztunnel's text lines. */
export class TextAccessLog implements AccessLog {
  readonly #sink: LogSink;
  readonly #time = new TimeText();

  constructor(sink: LogSink) {
    this.#sink = sink;
  }

  write(record: ConnectionRecord, wallMs: number, durationMs: number, sentBytes: number, receivedBytes: number): void {
    this.#sink.write(accessLine(record, this.#time.of(wallMs), durationMs, sentBytes, receivedBytes));
  }
}

/** The same fields as JSON, one object a line. */
export class JsonAccessLog implements AccessLog {
  readonly #sink: LogSink;
  readonly #time = new TimeText();

  constructor(sink: LogSink) {
    this.#sink = sink;
  }

  write(record: ConnectionRecord, wallMs: number, durationMs: number, sentBytes: number, receivedBytes: number): void {
    const fields = fieldsOf(record, durationMs);
    const line = {
      time: this.#time.of(wallMs),
      scope: 'access',
      ...fields,
      bytes_sent: sentBytes,
      bytes_recv: receivedBytes,
    };
    this.#sink.write(`${JSON.stringify(line)}\n`);
  }
}

export class NoAccessLog implements AccessLog {
  write(): void {}
}

/** RFC 3339; formatted once for each millisecond, since a burst shares it. */
class TimeText {
  #ms = -1;
  #text = '';

  of(wallMs: number): string {
    const ms = Math.trunc(wallMs);
    if (ms !== this.#ms) {
      this.#ms = ms;
      this.#text = new Date(ms).toISOString();
    }
    return this.#text;
  }
}
