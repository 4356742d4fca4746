/** What this machine must have before a lab can be: each lack is named with its remedy. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { LabError, messageOf } from './errors.ts';
import { STATE_ROOT } from './names.ts';
import { findCgroup2 } from './node/cgroups.ts';
import { SYSTEM_PATH, toolSync } from './tools.ts';

const BPFFS = '/sys/fs/bpf';
/** Tool to the Debian package that has it. */
const TOOLS: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  setpriv: 'util-linux',
  mount: 'mount',
  hostname: 'hostname',
};
const MOUNT_RECORD = join(STATE_ROOT, '.mounted');

/** Throws `LAB_NO_ROOT`, `LAB_TOOL_MISSING` or `LAB_KERNEL_MISSING`; returns the root of the cgroup v2 hierarchy. */
export function preflight(): string {
  requireRoot();
  requireTools();
  requireKernel();
  mkdirSync(STATE_ROOT, { recursive: true, mode: 0o755 });
  ensureBpffs();
  return ensureCgroup2();
}

export function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new LabError('LAB_NO_ROOT', 'the lab makes network namespaces and loads eBPF programs: it needs root', {
    hint: 'run the same command with sudo',
  });
}

function requireTools(): void {
  const directories = SYSTEM_PATH.split(delimiter);
  const missing = Object.keys(TOOLS).filter(
    (name) => !directories.some((directory) => existsSync(join(directory, name))),
  );
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((name) => TOOLS[name]))].join(' ');
  throw new LabError('LAB_TOOL_MISSING', `these tools are missing: ${missing.join(', ')}`, {
    hint: `apt-get install ${packages}`,
  });
}

/** Tries what the lab will do, in a namespace that ends with the command; versions are never compared. */
function requireKernel(): void {
  const attempts: [string, string, string[]][] = [
    ['network namespaces (CONFIG_NET_NS)', 'unshare', ['--net', 'true']],
    [
      'veth devices (CONFIG_VETH)',
      'unshare',
      ['--net', 'ip', 'link', 'add', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1'],
    ],
    ['bridges (CONFIG_BRIDGE)', 'unshare', ['--net', 'ip', 'link', 'add', 'probe0', 'type', 'bridge']],
    ['nftables with NAT (CONFIG_NF_TABLES, CONFIG_NFT_NAT)', 'unshare', ['--net', 'nft', NAT_PROBE]],
  ];
  for (const [feature, command, args] of attempts) {
    try {
      toolSync(command, args);
    } catch (cause) {
      throw new LabError('LAB_KERNEL_MISSING', `this kernel does not give the lab ${feature}: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
  if (existsSync('/proc/sys/net/ipv6')) return;
  throw new LabError('LAB_KERNEL_MISSING', 'this kernel has IPv6 switched off, and the lab is dual-stack', {
    hint: 'boot without ipv6.disable=1',
  });
}

const NAT_PROBE =
  'add table inet t; add chain inet t c { type nat hook prerouting priority -100; }; add rule inet t c meta l4proto tcp dnat ip to 192.0.2.1:80';

function ensureBpffs(): void {
  if (isMounted(BPFFS, 'bpf')) return;
  mountAt('bpf', BPFFS);
}

function ensureCgroup2(): string {
  const found = findCgroup2();
  if (found !== null) return found;
  const place = isMounted('/sys/fs/cgroup', 'tmpfs') ? '/sys/fs/cgroup/unified' : '/run/aquifer-cgroup2';
  mkdirSync(place, { recursive: true });
  mountAt('cgroup2', place);
  return place;
}

function isMounted(path: string, type: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === path && line.split(' ')[2] === type);
}

function mountAt(type: string, path: string): void {
  try {
    toolSync('mount', ['-t', type, type, path]);
  } catch (cause) {
    throw new LabError(
      'LAB_KERNEL_MISSING',
      `${type} is not mounted and cannot be mounted at ${path}: ${messageOf(cause)}`,
      { cause },
    );
  }
  writeFileSync(MOUNT_RECORD, `${path}\n`, { flag: 'a' });
}

/** Once the last lab is down: unmounts what a lab has mounted, unless somebody else uses it by now. */
export function leaveMachine(): void {
  let entries: string[];
  try {
    entries = readdirSync(STATE_ROOT);
  } catch {
    return;
  }
  if (entries.some((entry) => !entry.startsWith('.'))) return;
  const mounted = entries.includes('.mounted') ? readFileSync(MOUNT_RECORD, 'utf8').split('\n').filter(Boolean) : [];
  for (const path of mounted) {
    // Pins of others would be lost with the mount: leave it then.
    if (path === BPFFS && readdirSync(path).length > 0) continue;
    try {
      toolSync('umount', [path]);
    } catch {
      // Busy: somebody uses it.
    }
  }
  rmSync(MOUNT_RECORD, { force: true });
  try {
    rmdirSync(STATE_ROOT);
  } catch {
    // A lab that comes up at this moment.
  }
}
