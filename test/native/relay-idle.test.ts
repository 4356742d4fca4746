/** Ten thousand idle connections: what one costs, and that each still works. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import test from 'ava';
import { type Scope, scratchNetns } from './support/net.ts';

const script = join(import.meta.dirname, 'support', 'net-script.ts');
const hardLimit = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
/** The first few pay for what all share. */
const warm = 300;
/** 10,000, or what the machine's hard limit lets one process hold: a relay is two descriptors. */
const connections = Math.min(10_000, Math.floor((hardLimit - 200) / 2)) - warm;
const limitBytes = 12 * 1024;

class Child {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(t: Scope, netns: number, scene: string, ...words: string[]) {
    const argv = [`--nofile=${hardLimit}:${hardLimit}`, process.execPath, '--expose-gc', script, scene, ...words];
    this.#child = spawn('prlimit', argv, { stdio: ['pipe', 'pipe', 'inherit', netns] }) as ChildProcessByStdio<
      Writable,
      Readable,
      null
    >;
    t.teardown(() => this.#child.kill('SIGKILL'));
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async ask(line: string): Promise<number> {
    this.#child.stdin.write(`${line}\n`);
    return this.answer();
  }

  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  async answer(): Promise<number> {
    return Number((await this.#lines.next()).value);
  }
}

test('ten thousand idle relays cost at most 12 KB each, all of them work, and all end', async (t) => {
  const netns = scratchNetns(t);
  const ends = new Child(t, netns, 'ends');
  const proxy = new Child(t, netns, 'proxy', String(await ends.answer()));
  const port = await proxy.answer();
  await ends.ask(`open ${warm} ${port}`);
  const before = await proxy.ask(String(warm));
  await ends.ask(`open ${warm + connections} ${port}`);
  const after = await proxy.ask(String(warm + connections));
  const each = (after - before) / connections;
  t.log(`${warm + connections} idle relays: ${Math.round(each)} bytes each, ${(after / 1e6).toFixed(0)} MB in all`);
  t.true(each <= limitBytes, `${each} bytes`);
  t.is(await ends.ask('ping'), warm + connections);
  proxy.tell('close');
  ends.tell('exit');
  t.true((await proxy.answer()) > 0);
});
