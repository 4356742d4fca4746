import { existsSync, readdirSync } from 'node:fs';
import { parse, usage } from '../arguments.ts';
import { LabError } from '../errors.ts';
import { LogTail } from '../log-tail.ts';
import type { LabPaths } from '../names.ts';
import { requireUp } from '../presence.ts';
import { findPod } from '../targets.ts';

/** `lab logs WHAT [-f]` */
export async function logs(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const parsed = parse('logs', args, { follow: { type: 'boolean', short: 'f' } }, env);
  const [what] = parsed.positionals;
  if (what === undefined) throw usage('lab logs: of what? agent/NODE, kubelet/NODE, controller, supervisor or NS/POD');
  // A lab that is dead or stopped half-way still has its logs.
  if (!existsSync(parsed.paths.root)) await requireUp(parsed.paths);
  const file = await fileOf(parsed.paths, what);
  const tail = new LogTail(file, (text) => process.stdout.write(text));
  tail.read();
  if (parsed.values.follow !== true) return 0;
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  await tail.follow(stop.signal);
  return 0;
}

async function fileOf(paths: LabPaths, what: string): Promise<string> {
  const own = paths.log(what.replace('/', '-'));
  if (existsSync(own)) return own;
  if (!what.includes('/'))
    throw new LabError('LAB_UNKNOWN_TARGET', `there is no log of "${what}"`, { hint: `there are: ${known(paths)}` });
  const pod = await findPod(paths, what);
  const file = paths.podLog(pod.namespace, pod.name);
  if (existsSync(file)) return file;
  throw new LabError(
    'LAB_UNKNOWN_TARGET',
    `${what} has written no log yet: ${pod.reason ?? pod.phase}`,
    pod.message === null ? {} : { hint: pod.message },
  );
}

function known(paths: LabPaths): string {
  try {
    return readdirSync(`${paths.root}/logs`)
      .filter((name) => name.endsWith('.log'))
      .map((name) =>
        name
          .replace(/\.log$/, '')
          .replace(/^(agent|kubelet)-/, '$1/')
          .replace('_', '/'),
      )
      .join(', ');
  } catch {
    return 'none';
  }
}
