import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { integer, type Parsed, pairs, parse, settings, usage } from '../arguments.ts';
import { clean } from '../clean.ts';
import { codeOf, LabError } from '../errors.ts';
import { followNdjson } from '../http.ts';
import { LogTail } from '../log-tail.ts';
import { CONTROLLER_ADDRESS, type LabPaths, MAX_NODES, MAX_PODS_PER_NODE } from '../names.ts';
import { makeCgroup } from '../node/cgroups.ts';
import { preflight } from '../preflight.ts';
import { isUp } from '../presence.ts';
import { allNodes, type LabOptions, writeRecord } from '../record.ts';
import type { ProgressEvent } from '../supervisor/progress.ts';
import { watchLab } from '../ui/live.ts';
import { StageView } from '../ui/stages.ts';
import { duration, paint, type Style, styleOf } from '../ui/style.ts';

const SHOP = join(import.meta.dirname, '../shop');
const SUPERVISOR = join(import.meta.dirname, '../supervisor/main.ts');
const SOCKET_DEADLINE_MS = 10_000;
const OPTIONS = {
  nodes: { type: 'string' },
  manifests: { type: 'string', multiple: true },
  detach: { type: 'boolean', short: 'd' },
  image: { type: 'string', multiple: true },
  set: { type: 'string', multiple: true },
  'pods-per-node': { type: 'string' },
  'no-agent': { type: 'boolean' },
} as const;

/** `lab up`: exits 0 when all pods are ready (with --detach) or after Ctrl-C, 1 when something is not as it should be. */
export async function up(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const parsed = parse('up', args, OPTIONS, env);
  const { paths } = parsed;
  const options = readOptions(parsed);
  const style = styleOf(process.stdout, env);
  const view = new StageView(style, (text) => process.stdout.write(text));
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());

  const began = performance.now();
  view.start('checks');
  let cgroup2: string;
  try {
    cgroup2 = preflight();
    await claim(paths);
  } catch (error) {
    if (error instanceof LabError) view.failed(error.message, error.hint);
    if (error instanceof LabError) return 1;
    throw error;
  }
  view.done('root, tools, network namespaces, nftables, cgroup v2, bpffs', performance.now() - began);

  try {
    startSupervisor(paths, options, join(cgroup2, paths.cgroupName));
    const last = await follow(paths, view, stop.signal);
    if (last.state === 'failed') {
      view.failed(last.error, last.hint);
      await clean(paths);
      return 1;
    }
    if (last.state === 'up' && parsed.values.detach === true) {
      process.stdout.write(summary(paths, last.ms, last.settled, style));
      return last.settled ? 0 : 1;
    }
    if (last.state === 'up') {
      process.stdout.write(`${paint(style, 'bold', `The mesh is up after ${duration(last.ms)}.`)}\n\n`);
      await watchLab({ paths, style, options, signal: stop.signal, write: (text) => process.stdout.write(text) });
    }
  } catch (error) {
    await clean(paths);
    throw error;
  }
  process.stdout.write('\ntaking the lab down …\n');
  const ending = performance.now();
  await clean(paths);
  process.stdout.write(
    `${paint(style, 'green', '✓')} down, nothing of it is left  ${paint(style, 'dim', duration(performance.now() - ending))}\n`,
  );
  return 0;
}

function readOptions(parsed: Parsed): LabOptions {
  const [extra] = parsed.positionals;
  if (extra !== undefined) throw usage(`lab up: what is "${extra}"?`);
  const given = Array.isArray(parsed.values.manifests) ? parsed.values.manifests : [SHOP];
  const manifests = given.map((path) => resolve(path));
  for (const path of manifests) {
    if (!existsSync(path) || !statSync(path).isDirectory()) throw usage(`--manifests ${path}: no such directory`);
  }
  return {
    nodes: integer(parsed, 'nodes', 2, 1, MAX_NODES),
    manifests,
    images: Object.fromEntries(pairs(parsed, 'image')),
    agents: parsed.values['no-agent'] !== true,
    podsPerNode: integer(parsed, 'pods-per-node', MAX_PODS_PER_NODE, 1, MAX_PODS_PER_NODE),
    agentConfig: settings(parsed, 'agent'),
    controllerConfig: settings(parsed, 'controller'),
  };
}

/** Takes the name by making its directory, which only one of two can do. What a dead lab left is removed first. */
async function claim(paths: LabPaths): Promise<void> {
  if (existsSync(paths.root) && !(await isUp(paths))) await clean(paths);
  try {
    mkdirSync(paths.root, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') mkdirSync(paths.root, { recursive: true, mode: 0o700 });
    else {
      throw new LabError('LAB_NAME_TAKEN', `lab "${paths.name}" is up already`, {
        hint: `aquifer lab down --name ${paths.name}, or choose another name with --name`,
      });
    }
  }
}

function startSupervisor(paths: LabPaths, options: LabOptions, cgroup: string): void {
  for (const directory of ['logs', 'nodes', 'controller']) mkdirSync(join(paths.root, directory), { mode: 0o700 });
  writeRecord(paths, {
    name: paths.name,
    createdAt: new Date().toISOString(),
    cgroup,
    options,
    nodes: allNodes(options).map((node) => ({
      name: node.name,
      netns: paths.nodeNetns(node.name),
      address: node.v4,
      agentSocket: paths.agentSocket(node.name),
    })),
    fabric: { netns: paths.fabric },
    controller: { socket: paths.controllerSocket, address: `${CONTROLLER_ADDRESS}:15012` },
    pids: {},
  });
  const own = makeCgroup(join(cgroup, 'supervisor'));
  const log = openSync(paths.log('supervisor'), 'a', 0o600);
  const script = 'echo 0 > "$1/cgroup.procs"; shift; exec "$@"';
  const command = [process.execPath, SUPERVISOR, paths.name];
  spawn('sh', ['-euc', script, 'sh', own, ...command], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
  }).unref();
  closeSync(log);
}

type LastEvent = Extract<ProgressEvent, { state: 'up' | 'failed' }> | { state: 'aborted' };

async function follow(paths: LabPaths, view: StageView, signal: AbortSignal): Promise<LastEvent> {
  const deadline = Date.now() + SOCKET_DEADLINE_MS;
  while (!(await isUp(paths))) {
    if (signal.aborted) return { state: 'aborted' };
    if (Date.now() > deadline)
      throw new LabError(
        'LAB_CHILD_FAILED',
        `the supervisor does not answer\n${LogTail.last(paths.log('supervisor'), 15)}`,
      );
    await sleep(20);
  }
  return new Promise((resolve, reject) => {
    const stop = followNdjson(
      paths.socket,
      '/progress',
      (record) => {
        const event = record as ProgressEvent;
        view.on(event);
        if (event.state !== 'up' && event.state !== 'failed') return;
        stop();
        resolve(event);
      },
      (error) =>
        reject(
          new LabError(
            'LAB_CHILD_FAILED',
            `the supervisor went away: ${error?.message ?? 'its log may tell'}\n${LogTail.last(paths.log('supervisor'), 15)}`,
          ),
        ),
    );
    signal.addEventListener('abort', () => {
      stop();
      resolve({ state: 'aborted' });
    });
  });
}

function summary(paths: LabPaths, ms: number, settled: boolean, style: Style): string {
  const name = paths.name === 'lab' ? '' : ` --name ${paths.name}`;
  const head = settled
    ? paint(style, 'bold', `The mesh is up after ${duration(ms)}.`)
    : paint(style, 'yellow', 'The mesh is up, but not all pods are ready.');
  const next = [
    [`npx aquifer lab status${name}`, 'what runs, and what is wrong'],
    [`npx aquifer observe${paths.name === 'lab' ? '' : ` --lab ${paths.name}`}`, 'connections as they come and go'],
    [`npx aquifer lab down${name}`, 'take it down'],
  ];
  return `${head}\n${next.map(([command = '', what = '']) => `  ${paint(style, 'cyan', command.padEnd(38))} ${paint(style, 'dim', what)}\n`).join('')}`;
}
