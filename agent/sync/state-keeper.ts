import type { Logger } from 'pino';
import type { DeltaDiscoveryResponse } from '../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import type { SyncLimits } from './limits.ts';
import type { GoodResource } from './resource-table.ts';
import { encodeState, readState, stateFilePath, writeState } from './state-file.ts';

export interface KeptState {
  resources(): Iterable<GoodResource>;
  synced: ReadonlySet<string>;
}

/** A write may take this share of the time between writes, so that a large mesh in motion does not keep the agent busy. */
const PAUSE_PER_WRITE = 20;

/** Writes the last good resources some time after they change. Neither a lost nor a bad file ever stops the agent. */
export class StateKeeper {
  readonly #stateDir: string;
  readonly #state: KeptState;
  readonly #limits: SyncLimits;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();
  #lastWriteMs = 0;

  constructor(stateDir: string, state: KeptState, limits: SyncLimits, logger: Logger) {
    this.#stateDir = stateDir;
    this.#state = state;
    this.#limits = limits;
    this.#logger = logger;
  }

  /** The saved resources; none when there is no usable file. */
  load(): DeltaDiscoveryResponse[] {
    try {
      return readState(this.#stateDir, this.#limits.stateFileBytes) ?? [];
    } catch (error) {
      this.#logger.warn({ err: error, file: stateFilePath(this.#stateDir) }, 'saved state is not used');
      return [];
    }
  }

  /** Something has changed. */
  touch(): void {
    if (this.#timer !== null) return;
    const delayMs = Math.max(this.#limits.stateWriteDelayMs, this.#lastWriteMs * PAUSE_PER_WRITE);
    this.#timer = setTimeout(() => this.#write(), delayMs);
    this.#timer.unref();
  }

  /** Writes what is still unwritten; resolves when all is on disk. */
  async flush(): Promise<void> {
    if (this.#timer !== null) this.#write();
    await this.#writing;
  }

  #write(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#writing = this.#writing.then(async () => {
      const startedMs = performance.now();
      try {
        const resources = [...this.#state.resources()];
        await writeState(this.#stateDir, encodeState(resources, this.#state.synced, this.#limits.stateFileBytes));
      } catch (error) {
        this.#logger.warn({ err: error, file: stateFilePath(this.#stateDir) }, 'state could not be saved');
      }
      this.#lastWriteMs = performance.now() - startedMs;
    });
  }
}
