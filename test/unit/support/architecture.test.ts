import test from 'ava';
import {
  barrelFiles,
  type Edge,
  forbiddenEdges,
  importCycles,
  linesMatching,
  longFiles,
  looseImports,
  oddNames,
} from '../../support/architecture.ts';
import { importsOf } from '../../support/source-tree.ts';

const TABLE: readonly Edge[] = [
  { part: 'a/model', to: [], why: '' },
  { part: 'a/stage', to: ['a/model', 'native (types)'], why: '' },
  { part: 'a/main.ts', to: ['a/*'], why: '' },
  { part: 'native', to: [], why: '' },
];

const tree = (files: Record<string, string>) => new Map(Object.entries(files));

test('the edge check accepts what the table allows', (t) => {
  const files = tree({
    'a/model/x.ts': "import { y } from './y.ts';\nimport { z } from 'zod';\n",
    'a/model/y.ts': 'export const y = 1;\n',
    'a/stage/s.ts': "import { x } from '../model/x.ts';\nimport type { N } from '../../native/index.ts';\n",
    'a/main.ts': "import {\n  s,\n} from './stage/s.ts';\n",
  });
  t.deepEqual(forbiddenEdges(files, TABLE), []);
});

test('the edge check finds a forbidden import however it is written', (t) => {
  const files = tree({
    'a/model/static.ts': "import { s } from '../stage/s.ts';\n",
    'a/model/many-lines.ts': "import {\n  s,\n  type T,\n} from '../stage/s.ts';\n",
    'a/model/bare.ts': "import '../stage/s.ts';\n",
    'a/model/again.ts': "export { s } from '../stage/s.ts';\n",
    'a/model/dynamic.ts': "const s = await import('../stage/s.ts');\n",
    'a/model/type-only.ts': "import type { T } from '../stage/s.ts';\n",
  });
  t.deepEqual(forbiddenEdges(files, TABLE), [
    'a/model/static.ts:1: a/model may not import a/stage/s.ts',
    'a/model/many-lines.ts:1: a/model may not import a/stage/s.ts',
    'a/model/bare.ts:1: a/model may not import a/stage/s.ts',
    'a/model/again.ts:1: a/model may not import a/stage/s.ts',
    'a/model/dynamic.ts:1: a/model may not import a/stage/s.ts',
    'a/model/type-only.ts:1: a/model may not import a/stage/s.ts',
  ]);
});

test('the edge check lets an edge of types carry types alone', (t) => {
  const files = tree({ 'a/stage/s.ts': "import { loadNative } from '../../native/index.ts';\n" });
  t.deepEqual(forbiddenEdges(files, TABLE), ['a/stage/s.ts:1: a/stage may not import native/index.ts']);
});

test('the edge check finds tests imported by product code, and files without a row', (t) => {
  const files = tree({ 'a/main.ts': "import { fake } from '../test/support/fake.ts';\n", 'b/new.ts': '' });
  t.deepEqual(forbiddenEdges(files, TABLE), [
    'b/new.ts: no row of the table covers it',
    'a/main.ts:1: a/main.ts may not import test/support/fake.ts',
  ]);
});

test('the edge check does not take a comment or a string for an import', (t) => {
  const text =
    "/**\n * import { a } from '../stage/s.ts';\n */\n// import '../stage/s.ts'\nexport const a = '../stage/s.ts';\n";
  t.deepEqual(importsOf('a/model/x.ts', text), []);
});

test('the cycle check finds a cycle around a corner, and of types', (t) => {
  const files = tree({
    'a/one.ts': "import { two } from './two.ts';\n",
    'a/two.ts': "import type { Three } from './sub/three.ts';\n",
    'a/sub/three.ts': "import { one } from '../one.ts';\n",
    'a/four.ts': "import { one } from './one.ts';\n",
  });
  t.deepEqual(importCycles(files), [['a/one.ts', 'a/two.ts', 'a/sub/three.ts', 'a/one.ts']]);
});

test('the line check finds code, not comments, with its line', (t) => {
  const files = tree({ 'a/x.ts': '// process.env\n\nconst home = process.env.HOME;\n', 'a/main.ts': 'process.env\n' });
  t.deepEqual(
    linesMatching(files, /process\.env/, (path) => path === 'a/main.ts'),
    ['a/x.ts:3: const home = process.env.HOME;'],
  );
});

test('the import check finds modules of Node without node:, and computed imports', (t) => {
  // Put together here, or the check would find it in this file.
  const computed = `${'im'}port(name)`;
  const files = tree({ 'a/x.ts': `import fs from 'fs';\nimport { join } from 'node:path';\nawait ${computed};\n` });
  t.deepEqual(looseImports(files), ['a/x.ts:1: fs', 'a/x.ts:3: <computed>']);
});

test('the barrel check finds files that only pass on', (t) => {
  const files = tree({
    'a/index.ts': "export { a } from './a.ts';\nexport type { B } from './b.ts';\n",
    'a/star.ts': "export * from './a.ts';\nexport const own = 1;\n",
    'a/fine.ts': "import { a } from './a.ts';\nexport const own = a;\n",
  });
  t.deepEqual(barrelFiles(files), ['a/index.ts', 'a/star.ts']);
});

test('the name check wants kebab-case, and snake_case in C and C++', (t) => {
  const files = tree({
    'a/CamelCase.ts': '',
    'a/snake_case.ts': '',
    'a/snake_case.cc': '',
    'a/kebab-case.cc': '',
    'Big/x.ts': '',
    'a/x.test.ts': '',
    'b/steer.bpf.c': '',
  });
  t.deepEqual(oddNames(files), ['a/CamelCase.ts', 'a/snake_case.ts', 'a/kebab-case.cc', 'Big/x.ts']);
});

test('the size check counts lines', (t) => {
  t.deepEqual(longFiles(tree({ 'a/x.ts': 'x\n'.repeat(501), 'a/y.ts': 'x\n'.repeat(500) }), 500), [
    'a/x.ts: 501 lines',
  ]);
});
