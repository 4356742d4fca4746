import { type ImportSite, importsOf, isUnprefixedBuiltin, type SourceTree, withoutComments } from './source-tree.ts';

/**
 * One row of the table of allowed edges. `part` is a folder with all below it, the files of one folder (`agent/*.ts`) or
 * a single file; the nearest row counts. `to` names folders or single files; `agent/*` is all below it; an entry that
 * ends in ` (types)` allows `import type` alone. A part may always import itself.
 */
export interface Edge {
  part: string;
  to: readonly string[];
  why: string;
}

const TYPES = ' (types)';

const FILES = '/*.ts';

/** The row a file belongs to: its own if it has one, else that of the deepest folder which has. */
function partOf(path: string, parts: readonly string[]): string | null {
  const folder = path.slice(0, path.lastIndexOf('/'));
  const candidates = parts.filter((part) =>
    part.endsWith(FILES) ? folder === part.slice(0, -FILES.length) : path === part || path.startsWith(`${part}/`),
  );
  return candidates.sort((a, b) => b.length - a.length)[0] ?? null;
}

function covers(allowed: string, target: string): boolean {
  const prefix = allowed.endsWith('/*') ? allowed.slice(0, -2) : allowed;
  return target === prefix || target.startsWith(`${prefix}/`);
}

function permitted(edge: Edge, site: ImportSite, target: string): boolean {
  return edge.to.some((entry) => {
    if (!entry.endsWith(TYPES)) return covers(entry, target);
    return site.typeOnly && covers(entry.slice(0, -TYPES.length), target);
  });
}

const place = (site: ImportSite) => `${site.from}:${site.line}`;

/** All imports of the tree's TypeScript files. */
export function allImports(tree: SourceTree): ImportSite[] {
  return [...tree].filter(([path]) => path.endsWith('.ts')).flatMap(([path, text]) => importsOf(path, text));
}

/** Imports that the table does not allow, and files that no row covers. */
export function forbiddenEdges(tree: SourceTree, table: readonly Edge[]): string[] {
  const parts = table.map((edge) => edge.part);
  const found: string[] = [];
  for (const path of tree.keys()) {
    if (path.endsWith('.ts') && partOf(path, parts) === null) found.push(`${path}: no row of the table covers it`);
  }
  for (const site of allImports(tree)) {
    const part = partOf(site.from, parts);
    const edge = table.find((row) => row.part === part);
    if (edge === undefined || site.target === null) continue;
    const inside = partOf(site.target, parts) === part;
    if (inside || permitted(edge, site, site.target)) continue;
    found.push(`${place(site)}: ${edge.part} may not import ${site.target}`);
  }
  return found;
}

/** Groups of files that import each other, directly or around a corner; types count, they tangle the reader as well. */
export function importCycles(tree: SourceTree): string[][] {
  const next = new Map<string, string[]>();
  for (const { from, target } of allImports(tree)) {
    if (target !== null && tree.has(target)) next.set(from, [...(next.get(from) ?? []), target]);
  }
  const order: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const cycles: string[][] = [];
  const visit = (path: string) => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      cycles.push([...order.slice(order.indexOf(path)), path]);
      return;
    }
    state.set(path, 'open');
    order.push(path);
    for (const target of next.get(path) ?? []) visit(target);
    order.pop();
    state.set(path, 'done');
  };
  for (const path of tree.keys()) visit(path);
  return cycles;
}

/** Lines of code that match, as `path:line`, outside the files named. */
export function linesMatching(tree: SourceTree, pattern: RegExp, except: (path: string) => boolean): string[] {
  const found: string[] = [];
  for (const [path, text] of tree) {
    if (except(path)) continue;
    for (const [index, line] of withoutComments(text).split('\n').entries()) {
      if (pattern.test(line)) found.push(`${path}:${index + 1}: ${line.trim()}`);
    }
  }
  return found;
}

/** `fs` for `node:fs`, and dynamic imports of something computed, which no table can judge. */
export function looseImports(tree: SourceTree): string[] {
  return allImports(tree)
    .filter((site) => isUnprefixedBuiltin(site.specifier) || site.specifier === '<computed>')
    .map((site) => `${place(site)}: ${site.specifier}`);
}

/** Files that only pass on what others export, or pass on everything of one. */
export function barrelFiles(tree: SourceTree): string[] {
  const found: string[] = [];
  for (const [path, text] of tree) {
    if (!path.endsWith('.ts')) continue;
    const code = withoutComments(text);
    const rest = code.replace(/^(?:import|export)\s[^;]*?\sfrom\s+['"][^'"]+['"];?/gm, '').trim();
    const passesOn = /^export\s[^;=(]*?\sfrom\s+['"]/m.test(code);
    if (/^export \*/m.test(code) || (passesOn && rest === '')) found.push(path);
  }
  return found;
}

const KEBAB = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|d))?\.(?:ts|sh)$/;
const SNAKE = /^[a-z0-9]+(?:_[a-z0-9]+)*(?:\.bpf)?\.(?:cc|h|c)$/;
const KEBAB_FOLDER = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;

/** Paths with a part that is not kebab-case; C and C++ files are in snake_case, as the kernel's and Node's are. */
export function oddNames(tree: SourceTree): string[] {
  return [...tree.keys()].filter((path) => {
    const folders = path.split('/');
    const file = folders.pop() ?? '';
    return !(KEBAB.test(file) || SNAKE.test(file)) || folders.some((folder) => !KEBAB_FOLDER.test(folder));
  });
}

/** Files longer than `limit` lines. */
export function longFiles(tree: SourceTree, limit: number): string[] {
  return [...tree]
    .map(([path, text]) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > limit)
    .map(({ path, lines }) => `${path}: ${lines} lines`);
}
