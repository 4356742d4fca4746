import { existsSync, readFileSync } from 'node:fs';
import type { Native, NativeError } from '../../../native/index.ts';
import { Pins } from '../pins.ts';
import { otherConnectPrograms } from '../rewriters.ts';
import type { Report } from './report.ts';

/** Bits of include/uapi/linux/capability.h, each with what the agent needs it for. */
const CAPABILITIES: readonly [number, string, string][] = [
  [12, 'CAP_NET_ADMIN', 'routing rules, SO_MARK, transparent sockets, SOCK_DESTROY'],
  [21, 'CAP_SYS_ADMIN', "entering pods' network namespaces"],
  [38, 'CAP_PERFMON', 'loading BPF programs that read kernel types'],
  [39, 'CAP_BPF', 'loading BPF programs and maps'],
];

/** Numbers of include/uapi/linux/bpf.h, and the kernel that first had them. */
const PROGRAM_TYPES: readonly [number, string, string][] = [
  [18, 'cgroup/connect programs', '4.17'],
  [8, 'cgroup_skb programs', '4.10'],
  [30, 'sk_lookup programs', '5.9'],
  [13, 'sock_ops programs', '4.13'],
];
const MAP_TYPES: readonly [number, string, string][] = [
  [15, 'SOCKMAP', '4.14'],
  [24, 'SK_STORAGE', '5.2'],
  [27, 'RINGBUF', '5.8'],
];
const HELPERS: readonly [number, number, string, string][] = [
  [18, 122, 'bpf_get_netns_cookie in connect programs', '5.7'],
  [18, 49, 'bpf_setsockopt in connect programs', '5.8'],
  [18, 123, 'bpf_get_current_ancestor_cgroup_id in connect programs', '5.7'],
  [18, 107, 'bpf_sk_storage_get in connect programs', '5.8'],
  [8, 107, 'bpf_sk_storage_get in cgroup_skb programs', '5.2'],
  [8, 83, 'bpf_skb_ancestor_cgroup_id in cgroup_skb programs', '5.2'],
  [30, 124, 'bpf_sk_assign in sk_lookup programs', '5.9'],
];

/** Where the mounts are; null when there is none. */
export interface Mounts {
  cgroup2: string | null;
  bpffs: string | null;
}

export function checkCapabilities(report: Report): void {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const effective = BigInt(`0x${line}`);
  for (const [bit, name, use] of CAPABILITIES) {
    if ((effective >> BigInt(bit)) & 1n) report.ok(name, use);
    else report.failed(name, `missing; needed for ${use}`, `run as root, or grant ${name} to the agent`);
  }
}

export function checkMounts(report: Report, bpffs: string): Mounts {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  const cgroup2 = mounts.find((fields) => fields[2] === 'cgroup2')?.[1] ?? null;
  if (cgroup2 === null) {
    report.failed('cgroup v2', 'no cgroup2 hierarchy is mounted', 'mount -t cgroup2 none /sys/fs/cgroup/unified');
  } else {
    report.ok('cgroup v2', cgroup2);
  }
  try {
    Pins.requireBpffs(bpffs);
    report.ok('bpffs', bpffs);
    return { cgroup2, bpffs };
  } catch (error) {
    report.failed('bpffs', (error as Error).message, `mount -t bpf bpf ${bpffs}`);
    return { cgroup2, bpffs: null };
  }
}

export function checkKernel(report: Report, native: Native): void {
  const btf = '/sys/kernel/btf/vmlinux';
  if (existsSync(btf)) report.ok('BTF', btf);
  else report.failed('BTF', `${btf} is missing`, 'a kernel with CONFIG_DEBUG_INFO_BTF=y');
  const probe = (name: string, since: string, run: () => true | NativeError): void => {
    const found = run();
    if (found === true) report.ok(name);
    else report.failed(name, found.message, `Linux ${since} or later, with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF`);
  };
  for (const [type, name, since] of PROGRAM_TYPES) probe(name, since, () => native.probeProgramType(type));
  for (const [type, name, since] of MAP_TYPES) probe(`map type ${name}`, since, () => native.probeMapType(type));
  for (const [type, helper, name, since] of HELPERS) probe(name, since, () => native.probeHelper(type, helper));
}

/** A CNI's socket load balancer is no fault, but it decides what address the agent gets to see. */
export function checkOtherPrograms(report: Report, native: Native, cgroup: string): void {
  try {
    const others = otherConnectPrograms(native, cgroup);
    if (others.length === 0) report.ok('other connect programs', `none at ${cgroup}`);
    for (const { family, id, name, afterOurs } of others) {
      const label = `another connect${family} program at ${cgroup}: ${name || 'without a name'} (id ${id})`;
      if (afterOurs) {
        report.warning(
          label,
          'it runs after ours; when it changes an address, the agent still learns the asked one',
          '',
        );
      } else {
        const why =
          'it runs before ours: where it puts an endpoint in place of a Service, policy sees the endpoint only';
        report.warning(label, why, 'for Cilium: socketLB.hostNamespaceOnly=true');
      }
    }
  } catch (error) {
    report.failed('other connect programs', (error as Error).message, 'CAP_BPF and CAP_NET_ADMIN');
  }
}
