import { isDeepStrictEqual } from 'node:util';
import type { Document } from 'yaml';
import { LineCounter, parseAllDocuments } from 'yaml';
import type { ObjectRef } from '../core/model.ts';
import type { Fault } from './issues.ts';
import { at, faultsOf } from './issues.ts';
import type { ApiObject } from './kinds.ts';
import { findKind, KINDS, refOf } from './kinds.ts';
import { lineOf } from './locate.ts';
import type { FieldPath, Problem } from './problem.ts';
import { formatPath, parsePath } from './problem.ts';
import { nearest } from './suggest.ts';

/** Bounds on what one file or request may hold. */
export const DECODE_LIMITS = Object.freeze({
  maxBytes: 16 * 1024 * 1024,
  /** Of one object as JSON: about what etcd takes. */
  maxObjectBytes: 1536 * 1024,
  maxDocuments: 20_000,
  maxAliases: 100,
});

/** One object of a file: valid (`object`) or not (`problems`); `ref` as far as it could be read. */
export interface Decoded {
  line: number;
  /** The line of a field written as in problems, `spec.rules[0]`. */
  lineOf: (field: string) => number;
  ref: ObjectRef | null;
  object: ApiObject | null;
  problems: readonly Problem[];
}

export interface DecodeResult {
  documents: readonly Decoded[];
  /** The text could not be read as YAML or JSON at all: nothing in `documents` is to be trusted. */
  malformed: boolean;
}

/** One parsed document and where its fields stand. */
interface Source {
  file: string;
  value: unknown;
  line: (path: FieldPath) => number;
}

/** Reads YAML (several documents) or JSON and validates each object. Never throws on bad input. */
export function decode(text: string, file: string): DecodeResult {
  if (Buffer.byteLength(text) > DECODE_LIMITS.maxBytes) {
    return malformed(file, 1, `is larger than ${DECODE_LIMITS.maxBytes} bytes`);
  }
  let sources: Source[];
  try {
    const parsed = parse(text, file);
    if ('problems' in parsed) return { malformed: true, ...wrap(parsed.problems) };
    sources = parsed.sources;
  } catch (error) {
    // Deep nesting overflows the parser's stack; aliases beyond the limit throw.
    return malformed(file, 1, `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const documents = sources.flatMap(expandList).map(decodeObject);
  if (documents.length > DECODE_LIMITS.maxDocuments) {
    return malformed(file, 1, `has more than ${DECODE_LIMITS.maxDocuments} objects`);
  }
  return { documents, malformed: false };
}

function wrap(problems: readonly Problem[]): Pick<DecodeResult, 'documents'> {
  return { documents: [{ line: problems[0]?.line ?? 1, lineOf: () => 1, ref: null, object: null, problems }] };
}

function malformed(file: string, line: number, reason: string): DecodeResult {
  return { malformed: true, ...wrap([{ file, line, field: '', reason }]) };
}

function parse(text: string, file: string): { sources: Source[] } | { problems: Problem[] } {
  const json = parseJson(text);
  if (json !== undefined) {
    // Lines are only needed where there is a fault: then the text is read again, as YAML, which JSON is.
    const located = lazy(() => readYaml(text));
    const values = Array.isArray(json) ? json : [json];
    const prefix = (index: number): FieldPath => (Array.isArray(json) ? [index] : []);
    return {
      sources: values.map((value: unknown, index) => ({
        file,
        value,
        line: (path) => {
          const { documents, counter } = located();
          return documents[0] === undefined ? 1 : lineOf(documents[0], counter, [...prefix(index), ...path]);
        },
      })),
    };
  }
  const { documents, counter } = readYaml(text);
  const problems = documents.flatMap((document) =>
    document.errors.map((error) => ({
      file,
      line: counter.linePos(error.pos[0]).line || 1,
      field: '',
      reason: `malformed YAML: ${error.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? ''}`,
    })),
  );
  if (problems.length > 0) return { problems };
  const sources = documents
    .map((document) => ({ document, value: document.toJS({ maxAliasCount: DECODE_LIMITS.maxAliases }) as unknown }))
    // A document of comments only is how people switch a manifest off.
    .filter(({ value }) => value !== null && value !== undefined)
    .map(({ document, value }) => ({ file, value, line: (path: FieldPath) => lineOf(document, counter, path) }));
  return { sources };
}

function readYaml(text: string): { documents: Document.Parsed[]; counter: LineCounter } {
  const counter = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: counter,
    uniqueKeys: true,
    // Its warnings would go to the process; what they are about fails validation anyway.
    logLevel: 'error',
  });
  return { documents: Array.isArray(documents) ? (documents as Document.Parsed[]) : [], counter };
}

function parseJson(text: string): unknown {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function lazy<T>(make: () => T): () => T {
  let made: { value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** `kubectl get -o yaml` wraps objects in a List. */
function expandList(source: Source): Source[] {
  const items = at(source.value, ['items']);
  if (at(source.value, ['kind']) !== 'List' || !Array.isArray(items)) return [source];
  return items.map((value: unknown, index) => ({
    file: source.file,
    value,
    line: (path) => source.line(['items', index, ...path]),
  }));
}

function decodeObject(source: Source): Decoded {
  const checked = check(source.value);
  const place = { line: source.line([]), lineOf: (field: string) => source.line(parsePath(field)) };
  if ('object' in checked) return { ...place, ref: refOf(checked.object), object: checked.object, problems: [] };
  const problems = checked.faults
    .map(({ path, reason, hint }) => ({
      file: source.file,
      line: source.line(path),
      field: formatPath(path),
      reason,
      ...(hint === undefined ? {} : { hint }),
    }))
    .sort((a, b) => a.line - b.line);
  return { ...place, ref: checked.ref, object: null, problems };
}

/** Validates one value that was read elsewhere; faults have paths instead of lines. */
export function check(value: unknown): Checked {
  const checked = checkKind(value);
  if (!('object' in checked) || JSON.stringify(checked.object).length <= DECODE_LIMITS.maxObjectBytes) return checked;
  const reason = `is larger than ${DECODE_LIMITS.maxObjectBytes} bytes`;
  return { ref: refOf(checked.object), faults: [{ path: [], reason }] };
}

type Checked = { object: ApiObject } | { ref: ObjectRef | null; faults: Fault[] };

function checkKind(value: unknown): Checked {
  const kindName = at(value, ['kind']);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return { ref: null, faults: [{ path: [], reason: 'must be a map with apiVersion, kind and metadata' }] };
  }
  if (typeof kindName !== 'string') return { ref: null, faults: [{ path: ['kind'], reason: 'is required' }] };
  const kind = findKind(kindName);
  if (kind === null) return { ref: null, faults: [unsupported(kindName)] };
  const ref = readRef(value, kind.group, kindName, kind.namespaced);
  const result = kind.schema.safeParse(value);
  if (!result.success) return { ref, faults: faultsOf(kind.schema, value, result.error.issues) };
  const object = result.data as ApiObject;
  if (kind.namespaced) object.metadata.namespace ??= 'default';
  else if (object.metadata.namespace !== undefined) {
    const hint = 'leave namespace out';
    return { ref, faults: [{ path: ['metadata', 'namespace'], reason: `a ${kindName} has no namespace`, hint }] };
  }
  return { object };
}

function unsupported(kind: string): Fault {
  const known = KINDS.map((row) => row.kind);
  const near = nearest(kind, known);
  const list = `supported: ${known.join(', ')}`;
  return {
    path: ['kind'],
    reason: `kind ${JSON.stringify(kind)} is not supported`,
    hint: near === null ? list : `did you mean ${near}? ${list}`,
  };
}

function readRef(value: object, group: string, kind: string, namespaced: boolean): ObjectRef | null {
  const name = at(value, ['metadata', 'name']);
  const namespace = at(value, ['metadata', 'namespace']);
  if (typeof name !== 'string') return null;
  const ns = typeof namespace === 'string' ? namespace : 'default';
  return { group, kind, name, namespace: namespaced ? ns : '' };
}

/** Whether two objects ask for the same: status and bookkeeping do not count, unless `withStatus`. */
export function sameObject(a: ApiObject, b: ApiObject, withStatus: boolean): boolean {
  return isDeepStrictEqual(comparable(a, withStatus), comparable(b, withStatus));
}

function comparable(object: ApiObject, withStatus: boolean): object {
  const { status, metadata, ...rest } = object;
  const { generation: _, ...meta } = metadata;
  return { ...rest, metadata: meta, ...(withStatus ? { status } : {}) };
}
