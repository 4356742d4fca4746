/** `lab up`, stage by stage. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from '../errors.ts';
import { callJson, getJson } from '../http.ts';
import { LogTail } from '../log-tail.ts';
import type { Child } from './child.ts';
import type { Lab } from './lab.ts';
import { createNetwork } from './network.ts';
import type { Progress } from './progress.ts';
import { settlement } from './settled.ts';

const START_DEADLINE_MS = 30_000;
const PODS_DEADLINE_MS = 60_000;
/** A pod in a state that will not get better is still given so long, since it may be a start that raced another. */
const HOPELESS_MS = 2_000;
const POLL_MS = 20;

/** Throws when a stage cannot be done; pods that are not ready are no failure of the lab. */
export async function boot(lab: Lab, progress: Progress): Promise<void> {
  const { paths, nodes, record } = lab.settings;
  const began = performance.now();
  await progress.stage('network', async (detail) => {
    await createNetwork(paths, nodes, detail);
    return { done: `${plural(nodes.length, 'node')} on one fabric, IPv4 and IPv6` };
  });
  for (const child of lab.kubelets.values()) child.start();
  await progress.stage('controller', async () => {
    lab.controller.start();
    await started(lab.controller, async () => (await controllerAnswers(lab)) && hasTrustBundle(lab));
    return { done: `on ${record.controller.address}` };
  });
  for (const agent of lab.agents.values()) agent.start();
  await progress.stage('nodes', async (detail) => {
    for (const [node, child] of lab.kubelets) {
      detail(node);
      await started(child, async () => lab.readyNodes.has(node));
    }
    return { done: 'pods, probes, Service addresses, network policy, DNS' };
  });
  await progress.stage('agents', async (detail) => {
    for (const [node, child] of lab.agents) {
      detail(node);
      await started(child, () => agentAnswers(paths.agentSocket(node)));
    }
    return {
      done:
        lab.agents.size === 0
          ? 'none (--no-agent): nothing is captured'
          : 'eBPF programs loaded, one proxy for each node',
    };
  });
  await progress.stage('manifests', () => readManifests(lab));
  const settled = await pods(lab, progress);
  progress.tell({ state: 'up', ms: Math.round(performance.now() - began), settled });
}

async function readManifests(lab: Lab): Promise<{ done: string; warnings: string[] }> {
  lab.sources.follow();
  await started(lab.controller, async () => lab.sources.synced);
  lab.cluster.reconcile();
  const { sources = [] } = await getJson<ControllerStatus>(lab.settings.paths.controllerSocket, '/v1/status');
  const warnings = sources.flatMap((source) => (source.errors ?? []).map(describeError));
  return {
    done: `${plural(lab.sources.store.all().length, 'object')} from ${lab.settings.record.options.manifests.join(', ') || 'nowhere'}`,
    warnings,
  };
}

interface ControllerStatus {
  sources?: { directory: string; errors?: ManifestError[] }[];
}

interface ManifestError {
  file?: string;
  line?: number | null;
  field?: string;
  reason?: string;
}

function describeError({ file, line, field, reason }: ManifestError): string {
  const place = [file, line].filter((part) => part !== undefined && part !== null).join(':');
  return [place, field, reason].filter((part) => part !== undefined && part !== '').join(': ');
}

async function pods(lab: Lab, progress: Progress): Promise<boolean> {
  let settled = false;
  await progress.stage('pods', async (detail) => {
    const deadline = Date.now() + PODS_DEADLINE_MS;
    let hopelessSince: number | null = null;
    for (;;) {
      const now = settlement(lab.sources.store.list('Deployment'), lab.cluster.view.list('Pod'));
      settled = now.settled && lab.publisher.idle;
      hopelessSince = now.hopeless ? (hopelessSince ?? Date.now()) : null;
      const givenUp = Date.now() > deadline || (hopelessSince !== null && Date.now() - hopelessSince > HOPELESS_MS);
      if (settled || givenUp) {
        const warnings = now.waiting.map((one) => `${one.pod}: ${one.reason}: ${one.message}`);
        return { done: `${now.ready} of ${now.total} ready`, warnings };
      }
      const [first] = now.waiting;
      detail(
        `${now.ready} of ${now.total} ready${first === undefined ? '' : `, waiting for ${first.pod} (${first.reason})`}`,
      );
      await sleep(POLL_MS);
    }
  });
  return settled;
}

/** Polls until `check` holds. Throws with the end of the log when the process crashes or the deadline passes. */
export async function started(child: Child, check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MS;
  while (!(await check())) {
    const { name, logFile } = child.settings;
    const crashed = child.state === 'crashed';
    if (crashed || Date.now() > deadline) {
      const how = crashed
        ? `ended at its start: ${child.lastExit}`
        : `is not ready after ${START_DEADLINE_MS / 1000} s`;
      throw new LabError('LAB_CHILD_FAILED', `${name} ${how}\n${LogTail.last(logFile, 15)}`);
    }
    await sleep(POLL_MS);
  }
}

async function controllerAnswers(lab: Lab): Promise<boolean> {
  return answers(lab.settings.paths.controllerSocket, '/v1/status');
}

function hasTrustBundle(lab: Lab): boolean {
  return lab.agents.size === 0 || existsSync(join(lab.settings.paths.controllerDirectory, 'ca.pem'));
}

export function agentAnswers(socket: string): Promise<boolean> {
  return answers(socket, '/version');
}

/** Which socket file it is: a successor replaces it. */
export function socketIdentity(socket: string): string {
  try {
    const { ino, ctimeMs } = statSync(socket);
    return `${ino}/${ctimeMs}`;
  } catch {
    return '';
  }
}

async function answers(socket: string, path: string): Promise<boolean> {
  try {
    return (await callJson(socket, path, { timeoutMs: 2_000 })).status === 200;
  } catch {
    return false;
  }
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
