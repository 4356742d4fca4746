import type { Candidate } from '../model/connection.ts';

/** Draws candidates at random, each as often as its capacity says; one with capacity 0 never. */
export interface Sampler {
  /** Some capacity is above 0. */
  readonly total: number;
  /** `fraction` in [0, 1). */
  draw(fraction: number): Candidate | null;
}

const samplers = new WeakMap<readonly Candidate[], Sampler>();

/** Lists of candidates live as long as the snapshot keeps them unchanged, and so do their sums. */
export function samplerOf(candidates: readonly Candidate[]): Sampler {
  return samplers.getOrInsertComputed(candidates, () => makeSampler(candidates));
}

export function capacityOf(candidate: Candidate): number {
  return candidate.workload?.capacity ?? 1;
}

function makeSampler(candidates: readonly Candidate[]): Sampler {
  const sums = new Float64Array(candidates.length);
  let total = 0;
  for (const [i, candidate] of candidates.entries()) {
    total += capacityOf(candidate);
    sums[i] = total;
  }
  return { total, draw: (fraction) => candidates[firstAbove(sums, fraction * total)] ?? null };
}

/** Index of the first sum above the value; the length when there is none. */
function firstAbove(sums: Float64Array, value: number): number {
  let low = 0;
  let high = sums.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sums[middle] ?? 0) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
