/** Keeps the logs from filling the memory file system: the last part of a large one is kept as `<name>.1`. */
import { copyFileSync, readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

const LARGEST_BYTES = 16 * 1024 * 1024;
const INTERVAL_MS = 10_000;

export class LogKeeper {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  start(): void {
    setInterval(() => this.#check(), INTERVAL_MS).unref();
  }

  /** Writers append, so a file that is cut goes on from its start. */
  #check(): void {
    for (const name of readdirSync(this.#directory)) {
      const file = join(this.#directory, name);
      if (!name.endsWith('.log') || statSync(file).size < LARGEST_BYTES) continue;
      copyFileSync(file, `${file}.1`);
      truncateSync(file);
    }
  }
}
