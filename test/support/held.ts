import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { eventually } from './eventually.ts';
import type { Lab } from './lab.ts';
import { program } from './manifests.ts';

/** Connections that a pod keeps open to an echo server, and what became of them. */
export class Held {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: string[] = [];
  #errors = '';

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      this.#lines.push(...lines);
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      this.#errors += chunk;
    });
    child.stdin.on('error', () => {});
  }

  static async open(
    lab: Lab,
    from: string,
    host: string,
    port: number,
    count: number,
    timeoutMs = 20_000,
  ): Promise<Held> {
    const held = new Held(lab.spawn(from, program('holder', host, port, count)));
    try {
      await held.#line(`open ${count}`, timeoutMs);
    } catch (error) {
      held.kill();
      throw error;
    }
    return held;
  }

  /** Sends a line on each connection; gives how many answered, all of those that are open. */
  async ping(): Promise<number> {
    const before = this.#lines.length;
    this.#child.stdin.write('ping\n');
    const line = await eventually('every open connection answers', () =>
      this.#lines.slice(before).find((candidate) => candidate.startsWith('pong ')),
    );
    return Number(line.split(' ')[1]);
  }

  /** The end codes (`FIN`, `ECONNRESET`, …) once `count` have ended. */
  async ended(count: number, timeoutMs = 15_000): Promise<string[]> {
    return await eventually(
      `${count} connections end (so far: ${this.endsSoFar().join(' ')})`,
      () => {
        const codes = this.endsSoFar();
        return codes.length >= count ? codes : undefined;
      },
      timeoutMs,
    );
  }

  endsSoFar(): string[] {
    return this.#lines.filter((line) => line.startsWith('end ')).map((line) => line.split(' ')[1] ?? '');
  }

  kill(): void {
    this.#child.kill('SIGTERM');
  }

  async #line(text: string, timeoutMs: number): Promise<void> {
    await eventually(
      `the holder says "${text}" (said ${this.#lines.join(', ')} ${this.#errors})`,
      () => (this.#lines.includes(text) ? true : undefined),
      timeoutMs,
    );
  }
}
