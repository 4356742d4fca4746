/** No container of an enrolled pod starts before the agent holds its network: Kubernetes' CNI waits in the same way. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import { callJson } from '../http.ts';

const WAIT_MS = 10_000;
const RETRY_MS = 100;

interface AgentPod {
  state: string;
  reason?: string | null;
}

export interface GateOptions {
  agentSocket: string;
  uid: string;
  /** Asked again each time: a label may change while we wait. */
  wanted: () => boolean;
  signal: AbortSignal;
  onWaiting: (reason: string) => void;
}

/** Resolves when the pod is enrolled or no longer wants to be, or `signal` aborts. Never lets an un-captured pod pass. */
export async function awaitEnrolment(options: GateOptions): Promise<void> {
  while (options.wanted() && !options.signal.aborted) {
    const reason = await askAgent(options.agentSocket, options.uid);
    if (reason === null) return;
    options.onWaiting(reason);
    await sleep(RETRY_MS, undefined, { signal: options.signal }).catch(() => {});
  }
}

/** `null`: enrolled; else why not yet. */
async function askAgent(socket: string, uid: string): Promise<string | null> {
  try {
    const path = `/pods/${uid}?waitMs=${WAIT_MS}`;
    const { status, body } = await callJson<AgentPod>(socket, path, { timeoutMs: WAIT_MS + 5_000 });
    if (status === 404) return 'the agent has not seen the pod yet';
    if (status !== 200) return `the agent answers ${status}`;
    if (body.state === 'enrolled') return null;
    return `enrolment: ${body.state}${body.reason ? ` (${body.reason})` : ''}`;
  } catch (error) {
    return `the agent does not answer: ${messageOf(error)}`;
  }
}
