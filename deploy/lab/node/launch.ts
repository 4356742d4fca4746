/** How a program is started inside a pod: containers, `exec` probes, hooks and `aquifer lab exec` alike. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { join } from 'node:path';
import { type Privileges, setprivOptions } from './capabilities.ts';

const ENTER = join(import.meta.dirname, 'enter.sh');

/** All that is needed to enter a container; written beside the pod for `lab exec`. */
export interface Entry {
  cgroup: string;
  /** Path of the network namespace. */
  netns: string;
  /** Directory with resolv.conf, hosts, nsswitch.conf and hostname. */
  files: string;
  workdir: string;
  env: Record<string, string>;
  privileges: Privileges;
}

/** The command line that runs `command` in the container. */
export function enterCommand(entry: Entry, command: readonly string[]): string[] {
  const { cgroup, netns, files, workdir, privileges } = entry;
  const options = setprivOptions(privileges);
  return [
    'sh',
    ENTER,
    cgroup,
    netns,
    files,
    privileges.privileged ? '0' : '1',
    workdir,
    '--',
    ...options,
    '--',
    ...command,
  ];
}

/** Starts it with the container's environment. */
export function enter(entry: Entry, command: readonly string[], options: SpawnOptions): ChildProcess {
  const [file = 'sh', ...args] = enterCommand(entry, command);
  return spawn(file, args, { ...options, env: { ...entry.env, ...options.env } });
}
