import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, usage } from '../arguments.ts';
import { LabError } from '../errors.ts';
import type { LabPaths } from '../names.ts';
import { availableCapabilities } from '../node/capabilities.ts';
import { type Entry, enterCommand } from '../node/launch.ts';
import type { PodRow } from '../supervisor/status.ts';
import { findPod } from '../targets.ts';

/** Terminal variables that a program in the pod should see. */
const PASSED = ['TERM', 'COLORTERM', 'NO_COLOR', 'LANG'];

/** `lab exec NS/POD [-c CONTAINER] [--privileged] -- COMMAND…`: its exit code is ours. */
export async function exec(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const options = { container: { type: 'string', short: 'c' }, privileged: { type: 'boolean' } } as const;
  const parsed = parse('exec', args, options, env);
  const [target, ...more] = parsed.positionals;
  const command = [...more, ...parsed.rest];
  if (target === undefined || command.length === 0) throw usage('lab exec: what, and where? NS/POD -- COMMAND…');
  const pod = await findPod(parsed.paths, target);
  // Before it runs it may not be captured yet: nothing gets in by this door earlier than by the front one.
  if (pod.phase === 'Pending') throw notRunning(pod);
  const container = typeof parsed.values.container === 'string' ? parsed.values.container : null;
  const entry = readEntry(parsed.paths, pod, container);
  const privileges =
    parsed.values.privileged === true
      ? { ...entry.privileges, privileged: true, capabilities: availableCapabilities() }
      : entry.privileges;
  return await run({ ...entry, privileges }, command, env);
}

function notRunning(pod: PodRow): LabError {
  const why = `${pod.reason ?? pod.phase}${pod.message === null ? '' : `: ${pod.message}`}`;
  return new LabError('LAB_UNKNOWN_POD', `${pod.namespace}/${pod.name} does not run: ${why}`);
}

function readEntry(paths: LabPaths, pod: PodRow, container: string | null): Entry {
  const directory = join(paths.node(pod.node), 'sandbox', pod.uid);
  const names = containersIn(directory);
  const [first] = names;
  if (first === undefined) throw notRunning(pod);
  const chosen = container ?? first;
  if (names.includes(chosen)) return JSON.parse(readFileSync(join(directory, `${chosen}.json`), 'utf8')) as Entry;
  throw new LabError('LAB_UNKNOWN_POD', `the pod has no container "${chosen}"`, { hint: `it has ${names.join(', ')}` });
}

/** In the order of the manifest, init containers last. */
function containersIn(directory: string): string[] {
  try {
    const order = JSON.parse(readFileSync(join(directory, 'containers'), 'utf8')) as string[];
    const there = new Set(readdirSync(directory));
    return order.filter((name) => there.has(`${name}.json`));
  } catch {
    return [];
  }
}

async function run(entry: Entry, command: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [file = 'sh', ...args] = enterCommand(entry, command);
  const passed = Object.fromEntries(PASSED.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
  const child = spawn(file, args, { stdio: 'inherit', env: { ...passed, ...entry.env } });
  // The terminal sends Ctrl-C to both of us; the command decides what it means.
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', () => {});
  process.on('SIGTERM', forward);
  process.on('SIGHUP', forward);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      resolve(code ?? 128 + (signal === 'SIGKILL' ? 9 : signal === 'SIGTERM' ? 15 : signal === 'SIGINT' ? 2 : 1)),
    );
  });
}
