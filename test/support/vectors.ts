import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';

const directory = join(import.meta.dirname, '../vectors');

/**
 * Declares a test of a file of cases in test/vectors. They come from the projects that Aquifer must agree with; each
 * file's `source` names repository, commit and test. A file that is missing fails the test file.
 */
export function vectorTest<T>(title: string, file: string, run: (t: ExecutionContext, vectors: T) => void): void {
  const vectors = JSON.parse(readFileSync(join(directory, file), 'utf8')) as T;
  test(title, (t) => run(t, vectors));
}
