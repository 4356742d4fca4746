/** Images that stand for programs of the host: the lab's own, and what `--image NAME=COMMAND` adds. */
import { join } from 'node:path';
import type { ImageMap } from './env.ts';

const DIRECTORY = join(import.meta.dirname, '../images');

/** `extra` maps a name to a command line; words are split at spaces. */
export function imageMap(extra: Readonly<Record<string, string>>): ImageMap {
  const own = (program: string): string[] => [process.execPath, join(DIRECTORY, `${program}.ts`)];
  return new Map<string, readonly string[]>([
    ['aquifer/echo', own('echo')],
    ['aquifer/caller', own('caller')],
    ['aquifer/pause', ['sleep', 'infinity']],
    ['pause', ['sleep', 'infinity']],
    ['nginx', ['nginx', '-g', 'daemon off;']],
    ['redis', ['redis-server', '--protected-mode', 'no', '--save', '']],
    ...Object.entries(extra).map(([name, command]): [string, string[]] => [name, command.split(/\s+/).filter(Boolean)]),
  ]);
}
