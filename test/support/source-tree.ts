import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, posix } from 'node:path';

/** One import, re-export or dynamic import of a module. */
export interface ImportSite {
  from: string;
  /** 1-based. */
  line: number;
  specifier: string;
  /** Path inside the repository; null: a package or a module of Node's. */
  target: string | null;
  typeOnly: boolean;
  dynamic: boolean;
}

/** Path inside the repository, with `/`, to text. */
export type SourceTree = ReadonlyMap<string, string>;

const SKIPPED = new Set(['node_modules', 'gen', 'build', 'results']);

/** The sources below `folders` of the repository; what is generated or built is left out. */
export function readSourceTree(root: string, folders: readonly string[], extensions: readonly string[]): SourceTree {
  const tree = new Map<string, string>();
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory() && !SKIPPED.has(entry.name)) walk(path);
      if (entry.isFile() && extensions.some((extension) => path.endsWith(extension))) {
        tree.set(path, readFileSync(join(root, path), 'utf8'));
      }
    }
  };
  for (const folder of folders) walk(folder);
  return tree;
}

/** The text with comment lines emptied, so that line numbers stay and what a comment shows is not taken for code. */
export function withoutComments(text: string): string {
  let inBlock = false;
  const lines = text.split('\n').map((line) => {
    const trimmed = line.trimStart();
    if (!inBlock && trimmed.startsWith('//')) return '';
    if (!inBlock && trimmed.startsWith('/*')) inBlock = true;
    if (!inBlock) return line;
    const end = line.indexOf('*/');
    if (end === -1) return '';
    inBlock = false;
    return line.slice(end + 2);
  });
  return lines.join('\n');
}

// Biome's format puts a top-level statement at the margin and dynamic imports on one line, which is what these rely on.
const STATIC = /^(?:import|export)\s+(type\s+)?(?:[^'"`;=()]*?\sfrom\s+)?['"]([^'"\n]+)['"]/gm;
const DYNAMIC = /\bimport\(\s*(?:(['"`])([^'"`]+)\1)?/g;

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

/** Imports of one file in the order of the text; a dynamic import of something computed has the specifier `<computed>`. */
export function importsOf(path: string, text: string): ImportSite[] {
  const code = withoutComments(text);
  const site = (index: number, specifier: string, typeOnly: boolean, dynamic: boolean): ImportSite => ({
    from: path,
    line: lineAt(code, index),
    specifier,
    target: specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : null,
    typeOnly,
    dynamic,
  });
  const sites = [...code.matchAll(STATIC)].map((m) => site(m.index, m[2] ?? '', m[1] !== undefined, false));
  for (const m of code.matchAll(DYNAMIC)) sites.push(site(m.index, m[2] ?? '<computed>', false, true));
  return sites;
}

/** True for `fs`, false for `node:fs` and for packages. */
export function isUnprefixedBuiltin(specifier: string): boolean {
  return !specifier.startsWith('node:') && isBuiltin(specifier);
}
