/** A and B enrolled, E and X not; the agent lets nobody reach X, so whoever does went past it. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RedirectConfig } from '../../../agent/redirect/types.ts';
import { type AcceptRecord, CaptureAgent } from '../../support/capture.ts';
import { type Privilege, type Scope, ScratchNet, type ScratchPod, SYSTEM_ENV } from '../../support/netns.ts';
import { runProgram, serve, type TcpEvent, type TcpProgram } from '../../support/tcp-programs.ts';

export interface Scene {
  net: ScratchNet;
  a: ScratchPod;
  b: ScratchPod;
  e: ScratchPod;
  x: ScratchPod;
  agent: CaptureAgent;
  /** On X:80 and B:80. */
  outside: TcpProgram;
  app: TcpProgram;
  /** TCP packets that have arrived at X, an answered or an unanswered SYN alike. */
  tapped(): number;
  accepted(): Promise<AcceptRecord[]>;
}

export interface SceneOptions {
  config?: (net: ScratchNet) => Partial<RedirectConfig>;
  /** False: the agent serves X as well. */
  denyOutside?: boolean;
  enrol?: boolean;
}

export async function scene(t: Scope, options: SceneOptions = {}): Promise<Scene> {
  const net = new ScratchNet(t);
  const [a, b, e, x] = [net.pod('a'), net.pod('b'), net.pod('e'), net.pod('x')];
  const agent = await CaptureAgent.start(t, net, options.config?.(net) ?? {});
  const [outside, app] = [await serve(t, net, x, 80), await serve(t, net, b, 80)];
  tap(x);
  if (options.denyOutside !== false) await agent.call('deny', [x.v4, x.v6]);
  if (options.enrol !== false) {
    await agent.enrol(a);
    await agent.enrol(b);
  }
  return {
    net,
    a,
    b,
    e,
    x,
    agent,
    outside,
    app,
    tapped: () => tapCount(x),
    accepted: () => agent.call('accepted'),
  };
}

/** A Python program of this folder, in a pod. */
export function program(
  { net }: Scene,
  pod: Pick<ScratchPod, 'cgroup' | 'netnsPath'>,
  who: Privilege,
  name: string,
  ...args: readonly (string | number)[]
): Promise<TcpEvent> {
  const path = fileURLToPath(new URL(`${name}.py`, import.meta.url));
  return runProgram(net, pod, who, ['/usr/bin/python3', path, ...args.map(String)]);
}

/** A shell script as root of the test, in the pod's namespace: what the attacker cannot do himself, or its effect. */
export function shell({ netns }: ScratchPod, script: string): string {
  return execFileSync('ip', ['netns', 'exec', netns, 'sh', '-ec', script], { encoding: 'utf8', env: SYSTEM_ENV });
}

export function macOf(pod: ScratchPod): string {
  return shell(pod, 'cat /sys/class/net/eth0/address').trim();
}

function tap(pod: ScratchPod): void {
  shell(
    pod,
    `nft add table inet tap
     nft 'add chain inet tap in { type filter hook prerouting priority -300; }'
     nft add rule inet tap in iif eth0 meta l4proto tcp counter`,
  );
}

function tapCount(pod: ScratchPod): number {
  return Number(/packets (\d+)/.exec(shell(pod, 'nft list chain inet tap in'))?.[1]);
}
