import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type Ports, PROXY_CPU } from '../load.ts';
import { end, run, until } from '../processes.ts';
import { NODE_ADDRESS, type Topology } from '../topology.ts';
import { type Peer, PeerUnavailable } from './peer.ts';

/** Starts a proxy in the node's namespace on its own CPU, its output going to a log file, and waits until it listens. */
export async function startNodeProxy(
  topology: Topology,
  name: string,
  ports: Ports,
  command: readonly string[],
  directory: string,
): Promise<Peer> {
  const log = join(directory, `${name}.log`);
  const output = openSync(log, 'w');
  const [program, ...args] = topology.inside('node', ['taskset', '-c', PROXY_CPU, ...command]);
  const child = spawn(program, args, { stdio: ['ignore', output, output] });
  closeSync(output);
  try {
    await until(`${name} listens`, () => listens(topology, child, ports.once));
  } catch (cause) {
    await end(child);
    const tail = await run('tail', '-n', '3', log);
    throw new PeerUnavailable(`${name} did not start: ${tail.trim()}`, { cause });
  }
  return {
    name,
    address: NODE_ADDRESS,
    ports,
    // nsenter and taskset replace themselves by what they start.
    pids: [child.pid ?? 0],
    client: (line) => topology.inside('client', line),
    stop: () => end(child),
  };
}

async function listens(topology: Topology, child: ChildProcess, port: number): Promise<boolean> {
  if (child.exitCode !== null) throw new Error('it exited');
  const [program, ...args] = topology.inside('node', ['ss', '-Hltn', `sport = :${port}`]);
  return (await run(program, ...args)).trim() !== '';
}
