import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';

/** Cases of the projects that Aquifer must agree with, kept beside the repository and never in it. */
const directory = process.env.AQUIFER_VECTORS ?? join(import.meta.dirname, '../../../shared/vectors');

/**
 * Declares a test of one file of cases. Each file's `source` names repository, commit and test. Without the file the test
 * is shown as skipped, with where it was looked for; in CI (`CI` is set) that is a failure.
 */
export function vectorTest<T>(title: string, file: string, run: (t: ExecutionContext, vectors: T) => void): void {
  const path = join(directory, file);
  if (existsSync(path)) {
    test(title, (t) => run(t, JSON.parse(readFileSync(path, 'utf8')) as T));
  } else if (process.env.CI !== undefined) {
    test(title, (t) => t.fail(`${path} is missing; AQUIFER_VECTORS names the directory of the vectors`));
  } else {
    test.skip(`${title}: ${path} is missing; AQUIFER_VECTORS names the directory of the vectors`, () => {});
  }
}
