/** Reads log files: their end, and what comes. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';

const TAIL_BYTES = 64 * 1024;
const POLL_MS = 200;

export class LogTail {
  readonly #file: string;
  readonly #onText: (text: Buffer) => void;
  #offset = 0;

  constructor(file: string, onText: (text: Buffer) => void) {
    this.#file = file;
    this.#onText = onText;
  }

  /** The last lines of a file; empty when there is none. */
  static last(file: string, lines: number): string {
    try {
      const { size } = statSync(file);
      const text = readRange(file, Math.max(0, size - TAIL_BYTES), size)
        .toString('utf8')
        .trimEnd();
      return text.split('\n').slice(-lines).join('\n');
    } catch {
      return '';
    }
  }

  /** All that is there now. Throws when the file is not there. */
  read(): void {
    const { size } = statSync(this.#file);
    // Cut by the log keeper.
    if (size < this.#offset) this.#offset = 0;
    while (this.#offset < size) {
      const end = Math.min(size, this.#offset + TAIL_BYTES);
      this.#onText(readRange(this.#file, this.#offset, end));
      this.#offset = end;
    }
  }

  /** Goes on until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.read();
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

function readRange(file: string, start: number, end: number): Buffer {
  const buffer = Buffer.alloc(end - start);
  const descriptor = openSync(file, 'r');
  try {
    return buffer.subarray(0, readSync(descriptor, buffer, 0, buffer.length, start));
  } finally {
    closeSync(descriptor);
  }
}
