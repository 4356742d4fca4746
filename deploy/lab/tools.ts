/** Runs the host's tools (`ip`, `nft`, …) to their end. */
import { spawn, spawnSync } from 'node:child_process';
import { LabError } from './errors.ts';
import { netnsPath } from './names.ts';

const TIMEOUT_MS = 30_000;
/** Not the caller's PATH: npm puts node_modules/.bin first, and packages there have programs named `nft`, too. */
export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const ENV = { PATH: SYSTEM_PATH, LC_ALL: 'C' };

export interface ToolOptions {
  /** Name of a network namespace to run in. */
  netns?: string;
  input?: string;
}

/** Standard output of the tool. Throws `LAB_COMMAND_FAILED` with its standard error. */
export function tool(command: string, args: string[], options: ToolOptions = {}): Promise<string> {
  const [file, ...rest] = inNetns(options.netns, command, args);
  return new Promise((resolve, reject) => {
    const child = spawn(file ?? command, rest, { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS, env: ENV });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.on('error', (cause) => reject(new LabError('LAB_COMMAND_FAILED', `${command}: ${cause.message}`, { cause })));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else reject(failure([command, ...args], code ?? signal, stderr));
    });
  });
}

/** As `tool`, for code that must not be interleaved. */
export function toolSync(command: string, args: string[], options: ToolOptions = {}): string {
  const [file, ...rest] = inNetns(options.netns, command, args);
  const ran = spawnSync(file ?? command, rest, {
    encoding: 'utf8',
    input: options.input ?? '',
    timeout: TIMEOUT_MS,
    env: ENV,
  });
  if (ran.error !== undefined) {
    throw new LabError('LAB_COMMAND_FAILED', `${command}: ${ran.error.message}`, { cause: ran.error });
  }
  if (ran.status !== 0) throw failure([command, ...args], ran.status ?? ran.signal, ran.stderr);
  return ran.stdout;
}

function inNetns(netns: string | undefined, command: string, args: string[]): string[] {
  return netns === undefined ? [command, ...args] : ['nsenter', `--net=${netnsPath(netns)}`, '--', command, ...args];
}

function failure(command: string[], code: number | string | null, stderr: string): LabError {
  const said = stderr.trim() === '' ? 'said nothing' : stderr.trim();
  return new LabError('LAB_COMMAND_FAILED', `${short(command)}: exit ${code}: ${said}`);
}

/** A script among the arguments would bury what went wrong. */
function short(command: string[]): string {
  return command.map((word) => (word.includes('\n') ? '…' : word)).join(' ');
}

/** Runs a list of `ip` commands in one process; the first that fails ends it. */
export async function ipBatch(lines: readonly string[], netns?: string): Promise<void> {
  if (lines.length === 0) return;
  await tool('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n`, ...(netns === undefined ? {} : { netns }) });
}
