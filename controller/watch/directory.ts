import type { FSWatcher } from 'node:fs';
import { watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ApiObject } from '../api/kinds.ts';
import type { Problem } from '../api/problem.ts';
import { formatProblem } from '../api/problem.ts';
import type { FileState } from './merge-files.ts';
import { mergeFiles, readFileState } from './merge-files.ts';

/** Last good objects by file, kept over restarts. */
export interface SourceMemory {
  load(): readonly FileState[];
  save(files: readonly FileState[]): void;
}

export interface DirectoryOptions {
  directory: string;
  memory: SourceMemory;
  log: Logger;
  /** Gets all objects of the directory after each reading. */
  onObjects: (objects: ReadonlyMap<string, ApiObject>) => void;
  /** Quiet time after an event before reading, ms: an editor writes in several steps. */
  debounceMs?: number;
  /** How often to look without an event, ms: not every file system tells. */
  pollMs?: number;
  maxFiles?: number;
  maxFileBytes?: number;
}

/** What `GET /v1/status` says of a directory. */
export interface SourceStatus {
  directory: string;
  files: number;
  errors: readonly Problem[];
  /** When it was last read without a fault, ISO 8601; null: never. */
  lastGood: string | null;
}

interface Seen {
  signature: string;
  state: FileState;
}

const MANIFEST = /\.(ya?ml|json)$/;

/** Reads manifests of a directory tree, again whenever one changes. */
export class DirectorySource {
  readonly #options: Required<DirectoryOptions>;
  #seen = new Map<string, Seen>();
  #owners: ReadonlyMap<string, string> = new Map();
  #problems: readonly Problem[] = [];
  #lastGood: string | null = null;
  #watcher: FSWatcher | null = null;
  #timer: NodeJS.Timeout | null = null;
  #poll: NodeJS.Timeout | null = null;
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: DirectoryOptions) {
    this.#options = { debounceMs: 50, pollMs: 2000, maxFiles: 10_000, maxFileBytes: 16 * 1024 * 1024, ...options };
    for (const state of options.memory.load()) this.#seen.set(state.file, { signature: '', state });
  }

  get status(): SourceStatus {
    const { directory } = this.#options;
    return { directory, files: this.#seen.size, errors: this.#problems, lastGood: this.#lastGood };
  }

  /** Reads once, then keeps watching. Resolves when the first reading is in. */
  async start(): Promise<void> {
    this.#watch();
    await this.refresh();
    this.#poll = setInterval(() => {
      if (this.#watcher === null) this.#watch();
      void this.refresh();
    }, this.#options.pollMs);
    this.#poll.unref();
  }

  /** Reads what has changed. Readings never overlap. */
  refresh(): Promise<void> {
    this.#reading = this.#reading.then(() => (this.#closed ? undefined : this.#read()));
    return this.#reading;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#poll !== null) clearInterval(this.#poll);
    await this.#reading;
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#options.directory, { recursive: true, persistent: false });
      this.#watcher.on('change', () => this.#later());
      this.#watcher.on('error', () => {
        this.#watcher?.close();
        this.#watcher = null;
      });
    } catch {
      // The directory may come later; polling finds it.
      this.#watcher = null;
    }
  }

  #later(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.refresh(), this.#options.debounceMs);
  }

  async #read(): Promise<void> {
    const { directory, log } = this.#options;
    let files: string[];
    try {
      files = await this.#listFiles();
    } catch (error) {
      const reason = `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
      const problem = { file: directory, line: 1, field: '', reason, hint: 'its last objects stay in force' };
      this.#publish([...this.#seen.values()], [problem]);
      return;
    }
    const seen = new Map<string, Seen>();
    let changed = files.length !== this.#seen.size || this.#lastGood === null;
    for (const file of files) {
      const before = this.#seen.get(file);
      const now = await this.#readFile(file, before);
      if (now === null) continue;
      changed ||= now !== before;
      seen.set(file, now);
    }
    if (this.#closed) return;
    const isRetry = this.#problems.some(({ file }) => file === directory);
    if (!changed && !isRetry) return;
    this.#seen = seen;
    this.#remember([...seen.values()].map(({ state }) => state));
    this.#publish([...seen.values()], []);
    log.debug({ directory, files: files.length }, 'read manifests');
  }

  #publish(seen: readonly Seen[], problems: readonly Problem[]): void {
    const merged = mergeFiles(
      seen.map(({ state }) => state),
      this.#owners,
    );
    this.#owners = merged.owners;
    this.#report([...problems, ...merged.problems]);
    this.#options.onObjects(merged.objects);
  }

  #remember(files: readonly FileState[]): void {
    try {
      this.#options.memory.save(files);
    } catch (error) {
      // The manifests are live all the same; only a restart beside a broken file would miss it.
      this.#options.log.error({ err: error }, 'the last good manifests cannot be saved');
    }
  }

  async #listFiles(): Promise<string[]> {
    const { directory, maxFiles } = this.#options;
    const entries = await readdir(directory, { recursive: true });
    // Dot files are editors' and ConfigMap mounts' own business.
    const files = entries.filter(
      (name) => MANIFEST.test(name) && !name.split('/').some((part) => part.startsWith('.')),
    );
    if (files.length > maxFiles) throw new RangeError(`more than ${maxFiles} manifests`);
    return files.sort().map((name) => join(directory, name));
  }

  /** The state of a file: `before` itself when nothing changed, null when it is no file (any more). */
  async #readFile(file: string, before: Seen | undefined): Promise<Seen | null> {
    const { maxFileBytes } = this.#options;
    try {
      const info = await stat(file);
      if (!info.isFile()) return null;
      const signature = `${info.ino} ${info.size} ${info.mtimeMs}`;
      if (before?.signature === signature) return before;
      if (info.size > maxFileBytes) throw new RangeError(`is larger than ${maxFileBytes} bytes`);
      const text = await readFile(file, 'utf8');
      const after = await stat(file);
      if (`${after.ino} ${after.size} ${after.mtimeMs}` !== signature) {
        // Someone is writing: what it gave before stays until the file is at rest.
        this.#later();
        return before ?? null;
      }
      return { signature, state: readFileState(file, text, before?.state ?? null) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      const reason = error instanceof Error ? error.message : String(error);
      const problems = [{ file, line: 1, field: '', reason: `cannot be read: ${reason}` }];
      const same = before?.state.problems[0]?.reason === problems[0]?.reason;
      if (before !== undefined && same) return before;
      const objects = before?.state.objects ?? new Map();
      return { signature: '', state: { file, objects, problems } };
    }
  }

  #report(problems: readonly Problem[]): void {
    const known = new Set(this.#problems.map(formatProblem));
    for (const problem of problems) {
      const text = formatProblem(problem);
      if (!known.has(text)) this.#options.log.error(problem, text);
    }
    this.#problems = problems;
    if (problems.length === 0) this.#lastGood = new Date().toISOString();
  }
}
