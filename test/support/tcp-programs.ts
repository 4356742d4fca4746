/** Runs `tcp.py` in pods and reads its lines. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';
import type { Privilege, Scope, ScratchNet, ScratchPod } from './netns.ts';

const PROGRAM = ['/usr/bin/python3', fileURLToPath(new URL('tcp.py', import.meta.url))];

export interface TcpEvent {
  event: string;
  errno?: string;
  data?: string;
  peer?: string | [string, number];
  local?: string | [string, number];
  port?: number;
  mark?: number;
}

/** A program that runs on and tells what happens to it. */
export class TcpProgram {
  readonly events: TcpEvent[] = [];
  readonly child: ChildProcess;
  #errors = '';

  constructor(child: ChildProcess) {
    this.child = child;
    if (child.stdout === null) throw new Error('no output to read');
    createInterface({ input: child.stdout }).on('line', (line) => this.events.push(JSON.parse(line) as TcpEvent));
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#errors += chunk;
    });
  }

  async next(name: string, timeoutMs = 10_000): Promise<TcpEvent> {
    try {
      return await eventually(name, () => this.events.find((each) => each.event === name), timeoutMs);
    } catch (cause) {
      throw new Error(`the program did not say ${name}: ${JSON.stringify(this.events)} ${this.#errors}`, { cause });
    }
  }

  /** A line through a held connection, and what came of it. */
  async say(line: string): Promise<TcpEvent> {
    const before = this.events.length;
    this.child.stdin?.write(`${line}\n`);
    return eventually(`an answer to ${line}: ${JSON.stringify(this.events)}`, () => this.events[before]);
  }

  accepted(): TcpEvent[] {
    return this.events.filter(({ event }) => event === 'accepted');
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

/** A server on a port of the pod; waits until it listens. */
export async function serve(
  t: Scope,
  net: ScratchNet,
  pod: ScratchPod,
  port: number,
  options: readonly string[] = [],
  who: Privilege = 'none',
): Promise<TcpProgram> {
  const program = new TcpProgram(
    net.start(pod, who, [...PROGRAM, 'serve', String(port), '--name', pod.name, ...options]),
  );
  t.teardown(() => program.kill());
  await program.next('listening');
  return program;
}

/** One connection, to its end. */
export function connect(
  net: ScratchNet,
  pod: ScratchPod,
  who: Privilege,
  to: readonly [string, number],
  options: readonly string[] = [],
): TcpEvent {
  const command = [...PROGRAM, 'connect', to[0], String(to[1]), ...options];
  const { stdout, stderr } = net.run(pod, who, command);
  const line = stdout.trim().split('\n').at(-1);
  if (line === undefined || line === '') return { event: 'crashed', data: stderr };
  return JSON.parse(line) as TcpEvent;
}

/** Several at a time: one that is not answered takes its whole timeout. */
export function attempt(
  net: ScratchNet,
  pod: Pick<ScratchPod, 'cgroup' | 'netnsPath'>,
  who: Privilege,
  to: readonly [string, number],
  options: readonly string[] = [],
): Promise<TcpEvent> {
  return runProgram(net, pod, who, [...PROGRAM, 'connect', to[0], String(to[1]), ...options]);
}

/** The last event of a program that ends by itself. */
export async function runProgram(
  net: ScratchNet,
  pod: Pick<ScratchPod, 'cgroup' | 'netnsPath'>,
  who: Privilege,
  command: readonly string[],
): Promise<TcpEvent> {
  const child = net.start(pod, who, command);
  child.stdin?.end();
  let [output, errors] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  await once(child, 'close');
  const line = output.trim().split('\n').at(-1) ?? '';
  return line.startsWith('{') ? (JSON.parse(line) as TcpEvent) : { event: 'crashed', data: `${output}${errors}` };
}

/** A connection that stays open; `say` sends a line through it. */
export async function hold(
  t: Scope,
  net: ScratchNet,
  pod: ScratchPod,
  to: readonly [string, number],
  who: Privilege = 'none',
): Promise<TcpProgram> {
  const program = new TcpProgram(net.start(pod, who, [...PROGRAM, 'hold', to[0], String(to[1])]));
  t.teardown(() => program.kill());
  await program.next('connected');
  return program;
}
