import { type ChildProcess, type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/** Runs a program to its end and gives what it printed; throws with its error output. */
export async function run(command: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await exec(command, args, { maxBuffer: 64 * 1024 * 1024 });
    return stdout;
  } catch (cause) {
    const { stderr = '', message } = cause as Error & { stderr?: string };
    throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() === '' ? message : stderr.trim()}`, { cause });
  }
}

/** Ends a child that this process started, softly, then hard after two seconds. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const hard = setTimeout(() => child.kill('SIGKILL'), 2000);
  await exited;
  clearTimeout(hard);
}

/** The lines that a child prints, one at a time; null when it has ended. */
export class Lines {
  readonly #lines: AsyncIterator<string>;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async next(): Promise<string | null> {
    const { value, done } = await this.#lines.next();
    return done === true ? null : (value ?? null);
  }
}

/** Starts a program whose standard streams the caller uses; its error output goes to ours. */
export function start(command: string, ...args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stderr.pipe(process.stderr);
  // A child that is killed may reset its pipes; that it ended is told by `exit`.
  for (const pipe of child.stdio) pipe?.on('error', () => {});
  return child;
}

/** Waits until `probe` is true, 20 ms apart; throws after `timeoutMs`. */
export async function until(what: string, probe: () => Promise<boolean> | boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await probe())) {
    if (performance.now() > deadline) throw new Error(`${what}: not so after ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
