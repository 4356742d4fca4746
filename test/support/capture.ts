/** Drives an agent that serves the capture, in its own process and cgroup. Another agent fits in behind `CaptureAgent`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Reason } from '../../agent/model/connection.ts';
import type { ListenerKind } from '../../agent/model/datapath.ts';
import type {
  Drift,
  OlderConnection,
  OlderOutcome,
  OtherConnectProgram,
  RedirectConfig,
} from '../../agent/redirect/types.ts';
import type { Endpoint } from '../../native/index.ts';
import { bpffs, removePins, type Scope, type ScratchNet, type ScratchPod } from './netns.ts';

/** A connection that the agent was handed, refused or not. */
export interface AcceptRecord {
  /** Whose listener: the identity that an outbound connection gets. */
  pod: string;
  listener: ListenerKind;
  local: Endpoint;
  remote: Endpoint;
  mark: number;
  refusal: Reason | null;
  asked: Endpoint | null;
}

interface Answers {
  start: { reused: boolean; others: OtherConnectProgram[] };
  enrol: { slot: number; ms: number };
  unenrol: { ms: number };
  closeListeners: null;
  listen: null;
  deny: null;
  probePorts: null;
  accepted: AcceptRecord[];
  verdicts: Record<string, number>;
  older: OlderConnection[];
  judgeOlder: OlderOutcome;
  verify: Drift[];
  maintain: { drifts: Drift[]; draining: number };
  close: null;
}

export interface Request {
  id: number;
  verb: keyof Answers;
  argument: unknown;
}

const CHILD = fileURLToPath(new URL('capture-agent.ts', import.meta.url));

/** What the tests ask of an agent. */
export class CaptureAgent {
  readonly net: ScratchNet;
  readonly config: RedirectConfig;
  #child: ChildProcess;
  #id = 0;

  private constructor(net: ScratchNet, config: RedirectConfig) {
    this.net = net;
    this.config = config;
    this.#child = launch(config);
  }

  /** Starts one whose pins and processes go with the scope. `connectAt`: cgroup of the connect program. */
  static async start(t: Scope, net: ScratchNet, changes: Partial<RedirectConfig> = {}): Promise<CaptureAgent> {
    const config: RedirectConfig = {
      instance: net.name,
      bpffs: bpffs(),
      cgroupRoot: net.cgroup,
      agentCgroup: net.makeCgroup('agent'),
      nodeCgroup: net.node.cgroup,
      limits: { olderConnectionsPerPod: 64, kernelEventsPerSecond: 20 },
      ...changes,
    };
    const agent = new CaptureAgent(net, config);
    t.teardown(() => {
      agent.#child.kill('SIGKILL');
      removePins(`${config.bpffs}/aquifer/${config.instance}`);
    });
    await agent.call('start');
    return agent;
  }

  call<V extends keyof Answers>(verb: V, argument: unknown = null): Promise<Answers[V]> {
    const id = ++this.#id;
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error(`the agent died during ${verb}`));
      const onMessage = (message: unknown): void => {
        const answer = message as { id: number; result?: Answers[V]; error?: { message: string } };
        if (answer.id !== id) return;
        child.off('message', onMessage).off('exit', onExit);
        if (answer.error !== undefined) reject(Object.assign(new Error(answer.error.message), answer.error));
        else resolve(answer.result as Answers[V]);
      };
      child.on('message', onMessage).once('exit', onExit);
      child.send({ id, verb, argument } satisfies Request);
    });
  }

  enrol(pod: ScratchPod, changes: { cgroup?: string; addresses?: string[] } = {}): Promise<Answers['enrol']> {
    const { name, netnsPath, cgroup, v4, v6 } = pod;
    const addresses = [v4, v6];
    return this.call('enrol', { uid: name, namespace: 'test', name, netns: netnsPath, cgroup, addresses, ...changes });
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  /** A new process of the same instance, which finds what is pinned. */
  async restart(): Promise<Answers['start']> {
    this.#child = launch(this.config);
    return this.call('start');
  }
}

function launch(config: RedirectConfig): ChildProcess {
  const enter = `echo $$ > ${config.agentCgroup}/cgroup.procs && exec "$@"`;
  const command = [process.execPath, CHILD, JSON.stringify(config)];
  return spawn('sh', ['-c', enter, 'sh', ...command], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}
