import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';

const schema = z.record(z.string().min(1), z.string().min(1));

/**
 * Bearer tokens of the agents: a JSON file `{"<token>": "<node>"}`, read again when it changes. Tokens are looked up
 * by their hash, so that the time of a look-up tells nothing about them.
 */
export class TokenFile {
  readonly #path: string;
  #signature = '';
  #nodes: ReadonlyMap<string, string> = new Map();

  constructor(path: string) {
    this.#path = path;
  }

  /** The node that a token was issued to, or null. A file that cannot be read keeps what was known. */
  nodeOf(token: string): string | null {
    this.#reload();
    return this.#nodes.get(digest(token)) ?? null;
  }

  /** Every node that has a token. */
  get nodes(): ReadonlySet<string> {
    this.#reload();
    return new Set(this.#nodes.values());
  }

  #reload(): void {
    try {
      const { mtimeMs, size, ino } = statSync(this.#path);
      const signature = `${mtimeMs} ${size} ${ino}`;
      if (signature === this.#signature) return;
      const tokens = schema.parse(JSON.parse(readFileSync(this.#path, 'utf8')));
      this.#nodes = new Map(Object.entries(tokens).map(([token, node]) => [digest(token), node]));
      this.#signature = signature;
    } catch {
      // Not there yet, or being written: the next call looks again.
    }
  }
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
