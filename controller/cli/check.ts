import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { formatProblem } from '../api/problem.ts';
import { atMost, parseArguments } from './arguments.ts';
import { conditionsOf } from './columns.ts';
import type { Context, Verb } from './context.ts';
import { CliError, EXIT } from './errors.ts';
import { callJson, type Peer } from './http.ts';
import { type AgentPod, OBJECTS_REPLY, PODS_REPLY, STATUS_REPLY } from './responses.ts';
import { counted } from './table.ts';
import { findTarget, type Target } from './target.ts';

const SELF_TEST = fileURLToPath(new URL('../../agent/selftest.ts', import.meta.url));

export const CHECK: Verb = {
  name: 'check',
  summary: 'tell whether the mesh is well, or whether this machine can run an agent',
  help: `Usage: aquifer check [--node]

Without --node: asks the controller and every agent, and lists what is not as it should be: agents that are not
connected, manifests that cannot be read, policies that are not in force everywhere, pods that could not be enrolled.

Options:
      --node      test instead what this machine's kernel can do: loads, attaches and exercises each BPF program in a
                  scratch network namespace, and names other programs on the way (needs root)
      --lab NAME  the lab to check (default: AQUIFER_LAB, else "lab")

Exits 1 when something is not as it should be.`,
  run,
};

type Level = 'ok' | 'warn' | 'fail';
interface Line {
  level: Level;
  text: string;
  hint?: string;
}

async function run(args: readonly string[], context: Context): Promise<number> {
  const parsed = parseArguments('check', args, { node: { type: 'boolean' } });
  if (parsed === null) {
    context.out(`${CHECK.help}\n`);
    return EXIT.ok;
  }
  atMost(0, 'check', parsed.positionals);
  if (parsed.flag('node')) return await selfTest();
  const target = findTarget(parsed, context);
  const lines = [...(await checkController(target)), ...(await checkAgents(target))];
  for (const line of lines) context.out(render(line, context));
  const failures = lines.filter(({ level }) => level === 'fail').length;
  const warnings = lines.filter(({ level }) => level === 'warn').length;
  const fine = warnings === 0 ? 'all is well' : `no problem, ${counted(warnings, 'warning')}`;
  context.out(`\n${failures === 0 ? fine : counted(failures, 'problem')}\n`);
  return failures === 0 ? EXIT.ok : EXIT.failed;
}

async function selfTest(): Promise<number> {
  const child = spawn(process.execPath, [SELF_TEST], { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code === 0 ? EXIT.ok : EXIT.failed;
}

async function checkController({ controller }: Target): Promise<Line[]> {
  try {
    const { body: status } = await callJson(controller, '/v1/status', STATUS_REPLY);
    const size = [
      counted(status.workloads, 'workload'),
      counted(status.services, 'service'),
      status.policies === 1 ? '1 policy' : `${status.policies} policies`,
    ].join(', ');
    const lines: Line[] = [{ level: 'ok', text: `the controller answers: ${size}` }];
    for (const { directory, files, errors } of status.sources) {
      if (errors.length === 0) lines.push({ level: 'ok', text: `${directory}: ${counted(files, 'file')} read` });
      for (const { file, line, field, reason, hint } of errors) {
        const problem = { file: file ?? directory, line: line ?? 1, field: field ?? '', reason };
        lines.push({
          level: 'fail',
          text: formatProblem(typeof hint === 'string' ? { ...problem, hint } : problem),
          hint: 'the last good version stays in force until the file is mended',
        });
      }
    }
    for (const { node, connected, lastError } of status.agents)
      lines.push(connection(node, connected, lastError ?? null));
    return [...lines, ...(await checkPolicies(controller))];
  } catch (error) {
    return [failure(error)];
  }
}

function connection(node: string, connected: boolean, lastError: string | null): Line {
  const hint = `aquifer lab logs agent/${node}`;
  if (!connected) return { level: 'fail', text: `the agent of ${node} is not connected to the controller`, hint };
  if (lastError === null || lastError === '') return { level: 'ok', text: `the agent of ${node} is connected` };
  return { level: 'fail', text: `the agent of ${node} refused its configuration: ${lastError}`, hint };
}

async function checkPolicies(controller: Peer): Promise<Line[]> {
  const { body } = await callJson(controller, '/v1/objects?kind=L4Policy', OBJECTS_REPLY);
  return body.items.flatMap((item) =>
    conditionsOf(item)
      .filter(({ status }) => status === 'False')
      .map(({ type, reason, message }) => {
        const name = `${item.metadata.namespace}/${item.metadata.name}`;
        // Something that is named but not there may still come; what cannot be enforced will not mend itself.
        const level: Level = type === 'ResolvedRefs' ? 'warn' : 'fail';
        return { level, text: `${item.kind} ${name} is not ${type}: ${message || reason}` };
      }),
  );
}

async function checkAgents({ agents }: Target): Promise<Line[]> {
  const lines: Line[] = [];
  for (const agent of agents) {
    try {
      const { body: pods } = await callJson(agent, '/pods', PODS_REPLY);
      const enrolled = pods.filter(({ state }) => state === 'enrolled').length;
      lines.push({
        level: 'ok',
        text: `${agent.name} answers: ${enrolled} of ${counted(pods.length, 'pod')} enrolled`,
      });
      lines.push(...podLines(pods));
    } catch (error) {
      lines.push(failure(error));
    }
  }
  return lines;
}

/** Pods of which the agent says the same share a line: what a container may do by default it may do in every pod. */
function podLines(pods: readonly AgentPod[]): Line[] {
  const lines = new Map<string, { level: Level; names: string[] }>();
  for (const { namespace, name, state, reason } of pods) {
    const remark = remarkOn(state, reason ?? '');
    if (remark === null) continue;
    const line = lines.get(remark.text) ?? { level: remark.level, names: [] };
    line.names.push(`${namespace}/${name}`);
    lines.set(remark.text, line);
  }
  return [...lines].map(([text, { level, names }]) => ({ level, text: `${names.join(', ')}: ${text}` }));
}

function remarkOn(state: string, reason: string): { level: Level; text: string } | null {
  if (state === 'failed') return { level: 'fail', text: `could not be enrolled: ${reason}` };
  if (state === 'pending') return { level: 'warn', text: 'not enrolled yet' };
  return state === 'enrolled' && reason !== '' ? { level: 'warn', text: reason } : null;
}

function failure(error: unknown): Line {
  if (!(error instanceof CliError)) throw error;
  return { level: 'fail', text: error.message, ...(error.hint === null ? {} : { hint: error.hint }) };
}

function render({ level, text, hint }: Line, { palette }: Context): string {
  const mark = { ok: palette.good('ok  '), warn: palette.warn('warn'), fail: palette.bad('FAIL') }[level];
  return `${mark}  ${text}\n${hint === undefined ? '' : `      ${palette.faint(hint)}\n`}`;
}
