/** What a lab has in the kernel and on disk, found without asking the lab. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

export interface Leftovers {
  netns: string[];
  cgroups: string[];
  pins: string[];
  mounts: string[];
  processes: string[];
  directory: boolean;
}

const NOTHING: Leftovers = { netns: [], cgroups: [], pins: [], mounts: [], processes: [], directory: false };

/** All empty: nothing of the lab is there. */
export function leftoversOf(lab: string): Leftovers {
  const root = cgroup2();
  return {
    netns: entries('/run/netns').filter((name) => name.startsWith(`aq-${lab}-`)),
    cgroups: entries(root).filter((name) => name === `aquifer-${lab}`),
    pins: entries('/sys/fs/bpf/aquifer').filter((name) => name.startsWith(`${lab}-`)),
    mounts: lines('/proc/self/mounts').filter(
      (line) => line.includes(`aq-${lab}-`) || line.includes(`/run/aquifer/${lab}`),
    ),
    processes: processesOf(lab).map(({ pid, command }) => `${pid} ${command}`),
    directory: existsSync(`/run/aquifer/${lab}`),
  };
}

export function nothingLeft(): Leftovers {
  return NOTHING;
}

/** SIGKILL to every process of the lab, the supervisor included. */
export function killAll(lab: string): void {
  for (const { pid } of processesOf(lab)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Ended by itself meanwhile.
    }
  }
}

/** Every process of the lab, by its cgroup or its command line; one that has ended and waits for its parent is none. */
export function processesOf(lab: string): { pid: number; command: string }[] {
  return entries('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && !isZombie(name))
    .map((name) => ({
      pid: Number(name),
      command: read(`/proc/${name}/cmdline`).replaceAll('\0', ' '),
      cgroup: read(`/proc/${name}/cgroup`),
    }))
    .filter(
      ({ command, cgroup }) =>
        cgroup.includes(`/aquifer-${lab}/`) || (command.includes('deploy/lab/') && command.includes(` ${lab} `)),
    );
}

function isZombie(pid: string): boolean {
  return /^State:\s+[ZX]/m.test(read(`/proc/${pid}/status`));
}

/** Links and nftables of the host's own network, which a lab must never touch. */
export function hostNetwork(): string {
  const links = spawnSync('ip', ['-br', 'link'], { encoding: 'utf8' }).stdout;
  const rules = spawnSync('/usr/sbin/nft', ['list', 'ruleset'], { encoding: 'utf8' }).stdout;
  const routes = spawnSync('ip', ['route'], { encoding: 'utf8' }).stdout;
  return `${links}\n${rules}\n${routes}`;
}

function cgroup2(): string {
  const line = lines('/proc/self/mounts').find((mount) => mount.split(' ')[2] === 'cgroup2');
  return line?.split(' ')[1] ?? '/sys/fs/cgroup';
}

function lines(file: string): string[] {
  return read(file).split('\n');
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
