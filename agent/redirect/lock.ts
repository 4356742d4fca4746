import { closeSync, mkdirSync, openSync } from 'node:fs';
import type { Native } from '../../native/index.ts';
import { MeshError } from '../model/errors.ts';

const PAUSE_MS = 10;
/** A transaction takes some 10 ms; a holder of seconds is stuck. */
const PATIENCE_MS = 5_000;

/**
 * Runs `work` while no other agent of the instance changes its pins. The lock is on the directory, so a killed holder
 * leaves none behind. Throws `MESH_BPF_LOAD` when it cannot be had.
 */
export function withLock<T>(native: Pick<Native, 'tryLock'>, directory: string, work: () => T): T {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const fd = openSync(directory, 'r');
  try {
    let waitedMs = 0;
    while (!native.tryLock(fd)) {
      if (waitedMs >= PATIENCE_MS) {
        throw new MeshError('MESH_BPF_LOAD', `another agent has held ${directory} for ${PATIENCE_MS} ms`, {
          hint: 'two agents of one instance start at a time, or one of them is stopped: see `fuser`',
        });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
      waitedMs += PAUSE_MS;
    }
    return work();
  } finally {
    closeSync(fd);
  }
}
