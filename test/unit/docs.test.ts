import { readFileSync } from 'node:fs';
import test from 'ava';
import { z } from 'zod';
import { MESH_ERRORS } from '../../agent/model/errors.ts';
import { accessLine } from '../../agent/observe/access-line.ts';
import { fieldsOf } from '../../agent/observe/fields.ts';
import { REASONS } from '../../agent/observe/reasons.ts';
import { ConnectionRecord } from '../../agent/observe/record.ts';
import { l4Policy } from '../../controller/api/l4-policy.ts';
import { generated, REFERENCE } from '../../docs/generate.ts';

const page = (name: string): string => readFileSync(new URL(name, REFERENCE), 'utf8');
const source = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Cells of the rows below a heading of `depth`, up to the next one; heads of tables are left out. */
function rows(text: string, heading: string): string[][] {
  const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const lines = section.split('\n').filter((line, at, all) => {
    const isHead = all[at + 1]?.startsWith('| ---') ?? false;
    return line.startsWith('| ') && !line.startsWith('| ---') && !isHead;
  });
  return lines.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** The names in backticks of the first column. */
function named(cells: readonly string[][]): string[] {
  return cells.flatMap(([first = '']) => [...first.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name));
}

test('generated tables are what the code says; `node docs/generate.ts` renews them', (t) => {
  for (const [name, text] of generated()) t.is(page(name), text, name);
});

test('every reason of the agent is explained, with its flag', (t) => {
  const written = rows(page('reasons.md'), 'Of the agent').map(([name = '', flag = '']) => [name, flag]);
  const known = Object.entries(REASONS).map(([name, { flags }]) => [`\`${name}\``, `\`${flags}\``]);
  t.deepEqual(written, known);
});

test('every verdict of the kernel is explained, in the order of the enum', (t) => {
  const body = /enum aq_reason \{([\s\S]*?)\}/.exec(source('bpf/include/aquifer.h'))?.[1] ?? '';
  const known = [...body.matchAll(/^\s*AQ_([A-Z_]+)/gm)]
    .map(([, name = '']) => name)
    .filter((name) => name !== 'REASONS');
  t.deepEqual(named(rows(page('reasons.md'), 'In the kernel')), known);
});

test('every error code says what to do', (t) => {
  const codes = named(rows(page('errors.md'), 'Of the agent'));
  t.deepEqual(codes, [...Object.keys(MESH_ERRORS), ...Object.keys(MESH_ERRORS)]);
});

test('every field of an L4Policy is in its reference', (t) => {
  const text = page('l4policy.md');
  const missing = propertiesOf(z.toJSONSchema(l4Policy.shape.spec, { io: 'input' })).filter(
    (name) => !new RegExp(`\`[a-zA-Z.[\\]]*\\b${name}\\b`).test(text),
  );
  t.deepEqual(missing, []);
});

test('every field of the access log is in its reference, and no other', (t) => {
  const written = new Set(named(rows(page('access-log.md'), 'Access log')));
  const record = aRecord();
  const inText = [...accessLine(record, 'T', 0, 0, 0).matchAll(/[\s]([a-z][a-z._]+)=/g)].map(([, name = '']) => name);
  const known = new Set(['time', 'scope', 'event', ...Object.keys(fieldsOf(record, 0))]);
  t.deepEqual(
    inText.filter((name) => !known.has(name)),
    [],
  );
  t.deepEqual([...written].sort(), [...known].sort());
});

test('every endpoint of the admin APIs is in their reference, and no other', (t) => {
  const endpoints = (path: string) =>
    [...source(path).matchAll(/^\s+'((?:GET|PUT|POST) \/[^']*)':/gm)].map(([, name = '']) => name);
  const written = (heading: string) =>
    named(rows(page('admin-api.md'), heading)).map((name) => name.replace(/\?.*$/, ''));
  const agent = [...endpoints('agent/admin/routes.ts'), 'GET /pods/<uid>'];
  t.deepEqual(written('Agent').sort(), agent.sort());
  t.deepEqual(written('Controller').sort(), endpoints('controller/serve/http-api.ts').sort());
});

test('every limit that is counted is named', (t) => {
  const text = page('metrics.md');
  const files = ['agent/agent.ts', 'agent/pipeline.ts', 'agent/enrolment/enrolment.ts', 'agent/observe/flows.ts'];
  const hits = files.flatMap((file) => [...source(file).matchAll(/(?:limitHits\.add|#onLimit)\(([^)]*)\)/g)]);
  const names = hits.flatMap(([, argument = '']) => [...argument.matchAll(/'(\w+)'/g)].map(([, name = '']) => name));
  t.true(names.length > 8);
  t.deepEqual(
    names.filter((name) => !text.includes(`\`${name}\``)),
    [],
  );
});

function propertiesOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) => {
    if (key !== 'properties') return propertiesOf(value);
    return [...Object.keys(value as object), ...Object.values(value as object).flatMap(propertiesOf)];
  });
}

function aRecord(): ConnectionRecord {
  const pod = {
    uid: 'u',
    namespace: 'shop',
    name: 'web',
    serviceAccount: 'web',
    addresses: ['10.244.1.2'],
    netns: 1,
    slot: 0,
  };
  const facts = {
    source: null,
    sourceIdentity: null,
    sourceAddress: '10.244.1.2',
    destination: null,
    destinationAddress: '10.244.1.3',
    destinationPort: 80,
    service: null,
    servicePort: 0,
  };
  const [from, to] = [
    { address: '10.244.1.2', port: 40_000 },
    { address: '10.244.1.3', port: 80 },
  ];
  return new ConnectionRecord(1, pod, 'outbound', from, to, facts, 0);
}
