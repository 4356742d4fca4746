import type { ExecutionContext } from 'ava';
import { APPLY, DELETE } from '../../../controller/cli/apply.ts';
import { CHECK } from '../../../controller/cli/check.ts';
import { runCommand } from '../../../controller/cli/command.ts';
import { EXPLAIN } from '../../../controller/cli/explain.ts';
import { GET } from '../../../controller/cli/get.ts';
import { OBSERVE } from '../../../controller/cli/observe.ts';
import { VERSION } from '../../../controller/cli/version.ts';
import { collectingContext, FakeMesh } from '../../support/fake-api.ts';

export const VERBS = [APPLY, DELETE, GET, EXPLAIN, OBSERVE, CHECK, VERSION];

/** A mesh that is closed with the test. */
export function fakeMesh(t: ExecutionContext): FakeMesh {
  const mesh = new FakeMesh();
  t.teardown(() => mesh.close());
  return mesh;
}

/** Runs a command line against `mesh` and gives what it printed and its exit code. */
export async function aquifer(
  mesh: FakeMesh,
  args: readonly string[],
  input = '',
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { context, output, errors } = collectingContext(mesh.runDirectory, input);
  const code = await runCommand(args, VERBS, context);
  return { code, stdout: output(), stderr: errors() };
}
