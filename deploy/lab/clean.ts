/** Removes all that is of one lab, found by its names alone: it works after any crash, and twice. */
import { readdirSync, readlinkSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from './errors.ts';
import { type LabPaths, netnsPath } from './names.ts';
import { findCgroup2, removeCgroup } from './node/cgroups.ts';
import { leaveMachine } from './preflight.ts';
import { ipBatch, tool } from './tools.ts';

const PINS = '/sys/fs/bpf/aquifer';

export interface Cleaned {
  netns: number;
  /** Anything at all was there. */
  found: boolean;
}

/** Processes first, since they hold the rest; then pins, namespaces (links and nftables with them), directories. */
export async function clean(paths: LabPaths): Promise<Cleaned> {
  const root = findCgroup2();
  const cgroup = root === null ? null : join(root, paths.cgroupName);
  const namespaces = netnsOf(paths);
  const found = namespaces.length > 0 || exists(paths.root) || (cgroup !== null && exists(cgroup));
  if (cgroup !== null) await removeCgroup(cgroup);
  killStrays(namespaces);
  const pins = removePins(paths);
  await ipBatch(namespaces.map((name) => `netns del ${name}`)).catch(() => deleteOneByOne(namespaces));
  rmSync(paths.root, { recursive: true, force: true });
  leaveMachine();
  return { netns: namespaces.length, found: found || pins };
}

/** Names of this lab's network namespaces. */
export function netnsOf(paths: LabPaths): string[] {
  return list('/run/netns').filter((name) => name.startsWith(paths.netnsPrefix));
}

async function deleteOneByOne(names: readonly string[]): Promise<void> {
  for (const name of names)
    await tool('ip', ['netns', 'del', name]).catch(() => rmSync(netnsPath(name), { force: true }));
}

/** A process that was moved out of the cgroup but still sits in one of our networks. */
function killStrays(namespaces: readonly string[]): void {
  const ours = new Set(namespaces.map((name) => inode(netnsPath(name))).filter((one) => one !== null));
  // Whatever a name may be bound to by mistake: never this machine's own network.
  ours.delete(inode('/proc/self/ns/net') ?? '');
  if (ours.size === 0) return;
  for (const entry of list('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const match = /^net:\[(\d+)\]$/.exec(linkOf(`/proc/${entry}/ns/net`));
    if (match?.[1] !== undefined && ours.has(match[1])) kill(Number(entry));
  }
}

function removePins(paths: LabPaths): boolean {
  const own = list(PINS).filter((name) => name.startsWith(`${paths.name}-`));
  for (const name of own) rmSync(join(PINS, name), { recursive: true, force: true });
  if (own.length > 0 && list(PINS).length === 0) rmdirSync(PINS);
  return own.length > 0;
}

function inode(path: string): string | null {
  try {
    return String(statSync(path).ino);
  } catch {
    return null;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function exists(path: string): boolean {
  return inode(path) !== null;
}
