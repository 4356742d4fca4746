import { MeshError } from '../model/errors.ts';

/** The steps of an enrolment, as its errors name them. */
export type Step = 'namespace' | 'programs' | 'guard' | 'rules and routes' | 'steer' | 'cookie' | 'older connections';

const BY_CODE: Readonly<Record<string, string>> = {
  EPERM: 'the agent lacks a capability: it needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN',
  EACCES: 'the agent lacks a capability: it needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN',
  E2BIG: 'a map is full; `aquifer check --node` shows which',
  ENOMEM: 'the node is short of memory, or the agent of its cgroup memory limit',
  ENOSPC: 'bpffs or a map is full',
};

const BY_STEP: Readonly<Record<Step, string>> = {
  namespace: "the pod ends, or its description names another pod's network namespace",
  programs: 'run `aquifer check --node`',
  guard: "the pod's cgroup must exist in the v2 hierarchy",
  'rules and routes': 'IPv4 or IPv6 policy routing is missing from the kernel, or lo is down in the pod',
  steer: 'the kernel has no sk_lookup programs; `aquifer check --node` tells',
  cookie: 'the map `enrolled` is full: fewer pods on this node',
  'older connections': 'CONFIG_INET_DIAG and CONFIG_INET_DIAG_DESTROY must be in the kernel',
};

/** The likely fix of what went wrong in that step. */
export function hintFor(step: Step, cause: unknown): string {
  if (cause instanceof MeshError && cause.hint !== null) return cause.hint;
  const code = (cause as { code?: unknown } | null)?.code;
  return (typeof code === 'string' ? BY_CODE[code] : undefined) ?? BY_STEP[step];
}
