/** What a container may do: the runtime's default capabilities, changed by its security context. */
import { readFileSync } from 'node:fs';
import type { Container, PodSpec, SecurityContext } from '../cluster/objects.ts';

/** In the order of linux/capability.h: the index is the bit. */
const NAMES = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP',
  'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER',
  'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE',
  'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP',
  'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF',
  'CHECKPOINT_RESTORE',
] as const; // biome-ignore format: a table

/** containerd's default set. */
const DEFAULT = [
  'CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP',
  'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE',
] as const; // biome-ignore format: a table

/** Names without `CAP_`, sorted by bit. `available` is what this host can give. */
export function capabilitiesOf(context: SecurityContext | undefined, available: readonly string[]): string[] {
  if (context?.privileged === true) return [...available];
  const drop = (context?.capabilities?.drop ?? []).map(bare);
  const add = (context?.capabilities?.add ?? []).map(bare);
  const base = drop.includes('ALL') ? [] : DEFAULT.filter((name) => !drop.includes(name));
  const wanted = new Set<string>(
    add.includes('ALL') ? NAMES.filter((name) => !drop.includes(name)) : [...base, ...add],
  );
  return available.filter((name) => wanted.has(name));
}

function bare(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '');
}

/** The bounding set of this process: nothing can be given that is not in it. */
export function availableCapabilities(status = readFileSync('/proc/self/status', 'utf8')): string[] {
  const mask = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return NAMES.filter((_, bit) => (mask >> BigInt(bit)) & 1n);
}

export interface Privileges {
  /** Without `CAP_`. */
  capabilities: string[];
  uid: number | null;
  gid: number | null;
  noNewPrivileges: boolean;
  privileged: boolean;
}

export function privilegesOf(container: Container, spec: PodSpec, available: readonly string[]): Privileges {
  const context = container.securityContext;
  const uid = context?.runAsUser ?? spec.securityContext?.runAsUser ?? null;
  return {
    capabilities: capabilitiesOf(context, available),
    uid,
    gid: context?.runAsGroup ?? spec.securityContext?.runAsGroup ?? uid,
    noNewPrivileges: context?.allowPrivilegeEscalation === false,
    privileged: context?.privileged === true,
  };
}

/** Options of setpriv(1). A capability outside the bounding set cannot come back, not even through a set-uid program. */
export function setprivOptions(privileges: Privileges): string[] {
  const { capabilities, uid, gid } = privileges;
  const kept = capabilities.map((name) => `+${name.toLowerCase()}`);
  return [
    ...(privileges.privileged ? [] : [`--bounding-set=${['-all', ...kept].join(',')}`, '--inh-caps=-all']),
    ...(uid === null ? [] : [`--reuid=${uid}`, `--regid=${gid ?? uid}`, '--clear-groups']),
    ...(privileges.noNewPrivileges ? ['--no-new-privs'] : []),
  ];
}
