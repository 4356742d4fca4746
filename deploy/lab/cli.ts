#!/usr/bin/env node
/** `aquifer lab …` */
import { realpathSync } from 'node:fs';
import { LabError, messageOf } from './errors.ts';
import { paint, styleOf } from './ui/style.ts';

const HELP = `Usage: aquifer lab VERB [options]

A real mesh on this machine, without a cluster: nodes and pods are network namespaces.

  up [--nodes N] [--manifests DIR]… [--detach] [--image NAME=COMMAND]… [--pods-per-node N] [--no-agent]
     [--set agent.PATH=VALUE]… [--set controller.PATH=VALUE]…
                            start a lab and watch it until Ctrl-C; with --detach it stays
  status [-o json]          processes, pods and what is wrong with them
  exec NS/POD -- COMMAND…   run a command in a pod, or in a pod of a deployment  [-c CONTAINER] [--privileged]
  apply|delete -f FILE|DIR|-
                            change the manifests of the running lab
  logs agent/NODE | kubelet/NODE | controller | supervisor | NS/POD  [-f]
  restart agent/NODE [--kill]
                            a successor takes over; with --kill the agent is killed first
  restart|stop|start controller
  down                      take the lab down; nothing is left, whatever state it is in
  list                      the labs of this machine

Every verb: --name LAB (default: AQUIFER_LAB, else "lab").
`;

type Verb = (args: string[], env: NodeJS.ProcessEnv) => Promise<number>;

/** Loaded on demand: `exec` must be quick, and needs little. */
const VERBS: Readonly<Record<string, () => Promise<Verb>>> = {
  up: async () => (await import('./verbs/up.ts')).up,
  status: async () => (await import('./verbs/status.ts')).status,
  exec: async () => (await import('./verbs/exec.ts')).exec,
  apply: () => manifests('apply'),
  delete: () => manifests('delete'),
  logs: async () => (await import('./verbs/logs.ts')).logs,
  restart: () => command('restart'),
  stop: () => command('stop'),
  start: () => command('start'),
  down: async () => (await import('./verbs/down.ts')).down,
  list: async () => (await import('./verbs/list.ts')).list,
};

async function manifests(verb: 'apply' | 'delete'): Promise<Verb> {
  const { apply } = await import('./verbs/apply.ts');
  return (args, env) => apply(verb, args, env);
}

async function command(verb: 'restart' | 'stop' | 'start'): Promise<Verb> {
  const { control } = await import('./verbs/control.ts');
  return (args, env) => control(verb, args, env);
}

/** Runs one verb; the exit code: 0 done, 1 failed, 2 wrong usage, or the command's own for `exec`. */
export async function runLab(args: string[]): Promise<number> {
  const [name = 'help', ...rest] = args;
  // What stands behind `--` is another program's.
  const own = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
  if (['help', '--help', '-h'].includes(name) || own.some((word) => word === '--help' || word === '-h')) {
    process.stdout.write(HELP);
    return args.length === 0 ? 2 : 0;
  }
  const load = VERBS[name];
  try {
    if (load === undefined)
      throw new LabError('LAB_USAGE', `there is no "aquifer lab ${name}"`, {
        hint: `verbs: ${Object.keys(VERBS).join(', ')}`,
      });
    const verb = await load();
    return await verb(rest, process.env);
  } catch (error) {
    return report(error);
  }
}

function report(error: unknown): number {
  const style = styleOf(process.stderr, process.env);
  if (!(error instanceof LabError)) {
    process.stderr.write(
      `${paint(style, 'red', 'error:')} ${error instanceof Error ? error.stack : messageOf(error)}\n`,
    );
    return 1;
  }
  process.stderr.write(`${paint(style, 'red', 'error:')} ${error.message}\n`);
  if (error.hint !== null) process.stderr.write(`${paint(style, 'yellow', 'hint:')} ${error.hint}\n`);
  return error.code === 'LAB_USAGE' ? 2 : 1;
}

const program = process.argv[1];
if (program !== undefined && realpathSync(program) === import.meta.filename) {
  process.exitCode = await runLab(process.argv.slice(2));
}
