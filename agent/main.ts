/**
 * The agent: `node agent/main.ts --config FILE` (or AQUIFER_AGENT_CONFIG).
 *
 * Exit codes: 0 drained or told to go · 1 a fault of its own · 2 bad arguments or configuration · 3 the kernel cannot
 * capture (BPF refused, feature or privilege missing) · 4 the addon has not been built.
 * SIGTERM and SIGINT drain, a second one ends at once. Pods stay captured either way: nothing passes unjudged.
 */
import { flushCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MeshError, type MeshErrorCode } from './model/errors.ts';

const EXIT_CODES: Partial<Record<MeshErrorCode, number>> = {
  MESH_CONFIG_INVALID: 2,
  MESH_BPF_UNSUPPORTED: 3,
  MESH_BPF_LOAD: 3,
  MESH_NATIVE_MISSING: 4,
};

/**
 * Measured with 100 pods: a young generation of 3 × 16 MB and four helper threads cost 30 MB that a proxy with next to
 * no long-lived garbage has no use for. Waking helpers for the little garbage of each connection cost more CPU than the
 * collection itself.
 */
const V8_FLAGS = ['--max-semi-space-size=4', '--v8-pool-size=1', '--single-threaded-gc'];

/** Compiled sources, beside the sources so that they are trusted alike: without them each start keeps 20 MB of compiler. */
const COMPILE_CACHE = fileURLToPath(new URL('../build/compile-cache', import.meta.url));

function configFileOf(args: string[]): string {
  const { values } = parseArgs({ args, options: { config: { type: 'string' } } });
  const file = values.config ?? process.env.AQUIFER_AGENT_CONFIG;
  if (file === undefined) {
    throw new MeshError('MESH_CONFIG_INVALID', 'no configuration file', { hint: 'pass --config FILE' });
  }
  return file;
}

function fail(error: unknown): never {
  const code = error instanceof MeshError ? error.code : null;
  const hint = error instanceof MeshError && error.hint !== null ? `\nhint: ${error.hint}` : '';
  const text = code === null ? ((error as Error)?.stack ?? String(error)) : `${code}: ${(error as Error).message}`;
  process.stderr.write(`${text}${hint}\n`);
  process.exit(code === null ? 1 : (EXIT_CODES[code] ?? 1));
}

/** V8 takes flags at its start only. The process stays the same one, for whoever watches it. */
function restartWithFlags(): void {
  const missing = V8_FLAGS.filter((flag) => !process.execArgv.includes(flag));
  if (missing.length === 0) return;
  const args = [process.execPath, ...missing, ...process.execArgv, ...process.argv.slice(1)];
  process.execve?.(process.execPath, args, { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE });
}

async function main(): Promise<void> {
  restartWithFlags();
  const file = configFileOf(process.argv.slice(2));
  const [{ loadConfig }, { runAgent }] = await Promise.all([import('./config/load.ts'), import('./agent.ts')]);
  await runAgent(loadConfig(file));
  // Node itself writes it at exit only, and an agent may run for months.
  flushCompileCache();
}

main().catch(fail);
