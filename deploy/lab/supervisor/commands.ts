/** What a user may do to the lab's processes. */
import { LabError } from '../errors.ts';
import { callJson } from '../http.ts';
import { agentAnswers, socketIdentity, started } from './boot.ts';
import type { Lab } from './lab.ts';

const STOP_GRACE_MS = 5_000;

export interface Done {
  target: string;
  pid: number | null;
  ms: number;
}

/** A successor takes over and the old one drains; with `kill` it is killed first, and nothing passes until the new one is there. */
export async function restartAgent(lab: Lab, target: string, kill: boolean): Promise<Done> {
  const child = lab.child(target);
  const node = target.replace(/^agent\//, '');
  if (!lab.agents.has(node))
    throw new LabError('LAB_UNKNOWN_TARGET', `"${target}" cannot be restarted`, {
      hint: 'what can be restarted: agent/NODE, controller',
    });
  const began = performance.now();
  const socket = lab.settings.paths.agentSocket(node);
  const before = socketIdentity(socket);
  if (kill || child.state !== 'running') {
    await child.stop('SIGKILL', STOP_GRACE_MS);
    child.start();
  } else child.succeed();
  await started(child, async () => socketIdentity(socket) !== before && (await agentAnswers(socket)));
  return { target, pid: child.pid, ms: Math.round(performance.now() - began) };
}

export async function restartController(lab: Lab): Promise<Done> {
  const began = performance.now();
  await lab.controller.stop('SIGTERM', STOP_GRACE_MS);
  const done = await startController(lab, 'controller');
  return { ...done, ms: Math.round(performance.now() - began) };
}

export async function stopController(lab: Lab, target: string): Promise<Done> {
  if (target !== 'controller')
    throw new LabError('LAB_UNKNOWN_TARGET', `"${target}" cannot be stopped`, {
      hint: 'only the controller can; to kill an agent: aquifer lab restart agent/NODE --kill',
    });
  const began = performance.now();
  await lab.controller.stop('SIGTERM', STOP_GRACE_MS);
  return { target, pid: null, ms: Math.round(performance.now() - began) };
}

export async function startController(lab: Lab, target: string): Promise<Done> {
  if (target !== 'controller')
    throw new LabError('LAB_UNKNOWN_TARGET', `"${target}" cannot be started`, { hint: 'only the controller can' });
  const began = performance.now();
  if (lab.controller.state !== 'running') lab.controller.start();
  await started(lab.controller, async () => {
    const reply = await callJson(lab.settings.paths.controllerSocket, '/v1/status', { timeoutMs: 2_000 }).catch(
      () => null,
    );
    return reply?.status === 200;
  });
  return { target, pid: lab.controller.pid, ms: Math.round(performance.now() - began) };
}
