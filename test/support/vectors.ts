import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

const directory = process.env.AQUIFER_VECTORS ?? join(import.meta.dirname, '../../../shared/vectors');

/** The cases of a shared vector file; null when it is not there, which only CI takes for a failure. */
export function readVectors<T>(file: string): T | null {
  const path = join(directory, file);
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as T;
  if (process.env.CI === 'true') throw new Error(`${path} is missing; AQUIFER_VECTORS names the directory of vectors`);
  return null;
}

/** Declares a test of a vector file; without the file it is shown as skipped. */
export function vectorTest<T>(
  title: string,
  file: string,
  run: (t: import('ava').ExecutionContext, vectors: T) => void,
) {
  const vectors = readVectors<T>(file);
  const declare = vectors === null ? test.skip : test;
  declare(vectors === null ? `${title} (no ${file} in ${directory})` : title, (t) => {
    if (vectors !== null) run(t, vectors);
  });
}
