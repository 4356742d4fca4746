import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CliError, codeOf } from './errors.ts';

/** Several manifests as one YAML stream, which remembers where each line came from. */
export class Manifests {
  /** What goes to the controller. */
  readonly text: string;
  readonly #files: readonly { name: string; firstLine: number }[];

  constructor(files: readonly { name: string; text: string }[]) {
    const starts: { name: string; firstLine: number }[] = [];
    let text = '';
    let line = 1;
    for (const file of files) {
      if (text !== '') {
        text += '---\n';
        line += 1;
      }
      starts.push({ name: file.name, firstLine: line });
      const ended = file.text.endsWith('\n') ? file.text : `${file.text}\n`;
      text += ended;
      line += ended.split('\n').length - 1;
    }
    this.text = text;
    this.#files = starts;
  }

  /** The file and the line in it of a line of `text`. */
  locate(line: number): { file: string; line: number } {
    const file = this.#files.findLast((candidate) => candidate.firstLine <= line);
    return file === undefined ? { file: '-', line } : { file: file.name, line: line - file.firstLine + 1 };
  }
}

/** Reads files, directories (their .yaml, .yml and .json, below them too, in the order of their names) and `-`. */
export async function readManifests(paths: readonly string[], readInput: () => Promise<string>): Promise<Manifests> {
  const files: { name: string; text: string }[] = [];
  for (const path of paths) {
    if (path === '-') files.push({ name: 'standard input', text: await readInput() });
    else files.push(...readPath(path));
  }
  return new Manifests(files);
}

function readPath(path: string): { name: string; text: string }[] {
  try {
    if (!statSync(path).isDirectory()) return [{ name: path, text: readFileSync(path, 'utf8') }];
    const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /\.(ya?ml|json)$/.test(name),
    );
    if (names.length === 0) throw new CliError(`${path}: no .yaml, .yml or .json file in this directory`);
    return names.sort().map((name) => ({ name: join(path, name), text: readFileSync(join(path, name), 'utf8') }));
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    const reason = codeOf(cause) === 'ENOENT' ? 'no such file or directory' : (cause as Error).message;
    throw new CliError(`${path}: ${reason}`, { cause });
  }
}
