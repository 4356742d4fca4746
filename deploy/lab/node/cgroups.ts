/** cgroup v2 directories: made, emptied by `cgroup.kill`, removed. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../errors.ts';

const EMPTY_DEADLINE_MS = 10_000;
const POLL_MS = 5;

/** Where the v2 hierarchy is mounted, or `null`. */
export function findCgroup2(mounts = readFileSync('/proc/self/mounts', 'utf8')): string | null {
  for (const line of mounts.split('\n')) {
    const [, path, type] = line.split(' ');
    if (type === 'cgroup2' && path !== undefined) return path;
  }
  return null;
}

export function makeCgroup(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}

/** Sends SIGKILL to every process below; new ones included, since the kernel holds forks meanwhile. */
export function killCgroup(path: string): void {
  try {
    writeFileSync(join(path, 'cgroup.kill'), '1');
  } catch (error) {
    if (!['ENOENT', 'ENODEV'].includes(codeOf(error))) throw error;
  }
}

export function isPopulated(path: string): boolean {
  try {
    return readFileSync(join(path, 'cgroup.events'), 'utf8').includes('populated 1');
  } catch {
    return false;
  }
}

/** Kills what is inside and removes the whole tree; does nothing when it is gone already. Throws after 10 s. */
export async function removeCgroup(path: string): Promise<void> {
  if (!existsSync(path)) return;
  killCgroup(path);
  const deadline = Date.now() + EMPTY_DEADLINE_MS;
  while (isPopulated(path)) {
    if (Date.now() > deadline) throw new Error(`${path}: processes live on after cgroup.kill`);
    await sleep(POLL_MS);
  }
  removeTree(path);
}

function removeTree(path: string): void {
  let entries: string[];
  try {
    entries = readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  for (const entry of entries) removeTree(join(path, entry));
  try {
    rmdirSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}
