import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './processes.ts';

const HERE = import.meta.dirname;
export const LOAD = join(HERE, 'build/load');
export const SERVE = join(HERE, 'build/serve');

/** Ports of the server, and of what each proxy listens on. */
export interface Ports {
  echo: number;
  sink: number;
  once: number;
}

export const SERVER_PORTS: Ports = Object.freeze({ echo: 7001, sink: 7002, once: 7003 });

/** The CPU of load and server, and the one that a proxy has to itself. */
export const LOAD_CPU = '0';
export const PROXY_CPU = '1';

/** Builds the load generator and its server where their sources are newer. */
export async function compile(): Promise<void> {
  mkdirSync(join(HERE, 'build'), { recursive: true });
  for (const [program, source] of [
    [LOAD, 'load.c'],
    [SERVE, 'serve.c'],
  ] as const) {
    const sources = [join(HERE, source), join(HERE, 'bench.h')];
    const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (sources.every((path) => statSync(path).mtimeMs < built)) continue;
    await run('cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', program, join(HERE, source));
  }
}

/** Command line of the server, on every address. */
export function serveCommand(): string[] {
  const { echo, sink, once } = SERVER_PORTS;
  return ['taskset', '-c', LOAD_CPU, SERVE, '0.0.0.0', `${echo}`, `${sink}`, `${once}`];
}
