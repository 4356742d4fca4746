import { fileURLToPath } from 'node:url';
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
} from '../support/architecture.ts';
import { readSourceTree } from '../support/source-tree.ts';

/** Which part may import which, each with its reason. What is not here is forbidden. */
const EDGES: readonly Edge[] = [
  { part: 'agent/model', to: [], why: 'value types that every other part speaks' },
  { part: 'agent/config', to: ['agent/model'], why: 'a bad configuration is one of the errors of the table' },
  { part: 'agent/decide', to: ['agent/model'], why: 'pure: a decision depends on what it is given and nothing else' },
  { part: 'agent/balance', to: ['agent/model'], why: 'state for decide, handed in as an argument' },
  {
    part: 'agent/accept',
    to: ['agent/model', 'agent/config (types)', 'native (types)'],
    why: 'the native module is handed in by main, so that a test can stand in for it',
  },
  {
    part: 'agent/forward',
    to: ['agent/model', 'agent/config (types)', 'native (types)'],
    why: 'as accept; the stages never know each other, pipeline joins them',
  },
  { part: 'agent/observe', to: ['agent/model', 'agent/config (types)'], why: 'records values; touches no socket' },
  { part: 'agent/redirect', to: ['agent/model', 'agent/config', 'native'], why: 'the user half of bpf/' },
  { part: 'agent/identity', to: ['agent/model', 'agent/config', 'controller/proto'], why: 'speaks the CA protocol' },
  { part: 'agent/sync', to: ['agent/model', 'agent/config', 'controller/proto'], why: 'speaks discovery' },
  { part: 'agent/admin', to: ['agent/model', 'agent/config'], why: 'shows what main hands it' },
  {
    part: 'agent/pipeline.ts',
    to: [
      'agent/accept',
      'agent/decide',
      'agent/forward',
      'agent/observe',
      'agent/model',
      'agent/config (types)',
      'native (types)',
    ],
    why: 'the one place that joins the four stages',
  },
  {
    part: 'agent/selftest.ts',
    to: ['agent/redirect', 'agent/model', 'agent/config', 'native'],
    why: 'its own process',
  },
  {
    part: 'agent/enrolment',
    to: ['agent/model', 'agent/config', 'agent/accept (types)', 'agent/observe (types)'],
    why: 'when a pod is captured; redirect and the listeners are handed in',
  },
  { part: 'agent/*.ts', to: ['agent/*', 'native'], why: 'wires all of it, main.ts and what it is made of' },
  { part: 'native', to: [], why: 'the typed surface of the addon' },
  { part: 'controller/core', to: [], why: 'pure model' },
  { part: 'controller/api', to: ['controller/core'], why: 'schemas yield the model' },
  { part: 'controller/index', to: ['controller/core', 'controller/api'], why: 'a reducer over events' },
  { part: 'controller/watch', to: ['controller/core', 'controller/api'], why: 'sources turn files into events' },
  { part: 'controller/ca', to: ['controller/core'], why: 'signs; knows no transport' },
  { part: 'controller/serve', to: ['controller/core', 'controller/proto', 'controller/ca'], why: 'the gRPC edge' },
  { part: 'controller/main.ts', to: ['controller/*'], why: 'wires all of it' },
  {
    part: 'controller/cli',
    to: ['controller/core', 'controller/api', 'controller/proto', 'agent/decide', 'agent/model', 'agent/sync'],
    why: 'explain judges with the engine of the data path, on a snapshot made by the code that makes the data path its own',
  },
  {
    part: 'controller/cli/main.ts',
    to: ['controller/cli', 'deploy/lab/cli.ts'],
    why: 'the lab is a verb of the one command; loaded only when it is asked for',
  },
  { part: 'deploy/lab', to: ['controller/api'], why: 'runs agents and the controller as child processes' },
  {
    part: 'docs',
    to: ['agent/*', 'controller/*'],
    why: 'the reference is written from the schemas and the metrics themselves',
  },
  { part: 'test', to: ['agent/*', 'native', 'controller/*', 'deploy/*', 'docs', 'test'], why: 'tests see everything' },
];

const ENV_READERS = ['agent/main.ts', 'controller/main.ts', 'deploy/lab/cli.ts'];

const root = fileURLToPath(new URL('../..', import.meta.url));
const product = readSourceTree(root, ['agent', 'native', 'controller', 'deploy'], ['.ts']);
const scripts = readSourceTree(root, ['agent', 'native', 'controller', 'deploy', 'docs', 'test'], ['.ts']);
const sources = readSourceTree(
  root,
  ['agent', 'native', 'bpf', 'controller', 'deploy', 'docs', 'test'],
  ['.ts', '.cc', '.h', '.c', '.sh'],
);

test('imports follow the table of allowed edges', (t) => {
  t.deepEqual(forbiddenEdges(scripts, EDGES), []);
});

test('imports form no cycle', (t) => {
  t.deepEqual(importCycles(scripts), []);
});

test('product code does not import tests', (t) => {
  const rows = EDGES.filter(({ part, to }) => part !== 'test' && to.some((entry) => entry.startsWith('test')));
  t.deepEqual(rows, []);
});

test('the environment is read only where a process starts', (t) => {
  // The images are the programs that run in the sample's pods: each is a process of its own.
  const folders = ['controller/cli/', 'deploy/lab/images/'];
  const except = (path: string) => ENV_READERS.includes(path) || folders.some((folder) => path.startsWith(folder));
  t.deepEqual(linesMatching(product, /process\.env\b|\benv\b.*from 'node:process'/, except), []);
});

test('modules of Node are imported as node:, and what is imported is written down', (t) => {
  t.deepEqual(looseImports(scripts), []);
});

test('no file only passes on what others export', (t) => {
  t.deepEqual(barrelFiles(scripts), []);
});

test('files and folders are named in kebab-case, C and C++ files in snake_case', (t) => {
  t.deepEqual(oddNames(sources), []);
});

test('no file has more than 500 lines', (t) => {
  t.deepEqual(longFiles(sources, 500), []);
});

test('no test is switched off or runs alone', (t) => {
  const pattern = /\btest(?:\.serial)?\.(?:only|skip|failing|todo)\(|\bt\.\w+\.skip\(/;
  const tests = new Map([...scripts].filter(([path]) => path.endsWith('.test.ts')));
  t.deepEqual(
    linesMatching(tests, pattern, (path) => path.startsWith('test/unit/support/')),
    [],
  );
});
