import { parse, usage } from '../arguments.ts';
import { LabError } from '../errors.ts';
import { callJson } from '../http.ts';
import { requireUp } from '../presence.ts';
import { duration } from '../ui/style.ts';

const TIMEOUT_MS = 60_000;

interface Reply {
  target?: string;
  pid?: number | null;
  ms?: number;
  error?: string;
  hint?: string | null;
}

/** `lab restart agent/NODE [--kill]`, `lab restart|stop|start controller` */
export async function control(
  verb: 'restart' | 'stop' | 'start',
  args: string[],
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const parsed = parse(verb, args, { kill: { type: 'boolean' } }, env);
  const [target] = parsed.positionals;
  if (target === undefined)
    throw usage(`lab ${verb}: what? ${verb === 'restart' ? 'agent/NODE or controller' : 'controller'}`);
  await requireUp(parsed.paths);
  const kill = parsed.values.kill === true ? '&kill=true' : '';
  const path = `/${verb}?target=${encodeURIComponent(target)}${kill}`;
  const { status, body } = await callJson<Reply>(parsed.paths.socket, path, { method: 'POST', timeoutMs: TIMEOUT_MS });
  if (status !== 200) {
    throw new LabError(
      'LAB_UNKNOWN_TARGET',
      body.error ?? `status ${status}`,
      typeof body.hint === 'string' ? { hint: body.hint } : {},
    );
  }
  const pid = body.pid === null || body.pid === undefined ? '' : `, pid ${body.pid}`;
  const done = { restart: 'restarted', stop: 'stopped', start: 'started' }[verb];
  process.stdout.write(`${target} ${done} in ${duration(body.ms ?? 0)}${pid}\n`);
  return 0;
}
