import { decode } from '../api/decode.ts';
import type { ApiObject } from '../api/kinds.ts';
import type { Problem } from '../api/problem.ts';
import { objectKey } from '../core/model.ts';

/** An object and the place where it was read. */
export interface Placed {
  object: ApiObject;
  line: number;
  /** Kept from an earlier reading, because the file now has faults. */
  stale: boolean;
}

/** What one file of a directory gives. */
export interface FileState {
  file: string;
  objects: ReadonlyMap<string, Placed>;
  problems: readonly Problem[];
}

/**
 * Reads a file's new text over what it gave before. While it has any fault, nothing that it once gave is removed:
 * a mistyped kind or a missing name must not look like a deletion.
 */
export function readFileState(file: string, text: string, before: FileState | null): FileState {
  const kept = new Map([...(before?.objects ?? [])].map(([key, placed]) => [key, { ...placed, stale: true }]));
  if (text.trim() === '' && kept.size > 0) {
    const problem = { file, line: 1, field: '', reason: 'is empty', hint: 'delete the file to remove its objects' };
    return { file, objects: kept, problems: [problem] };
  }
  const { documents, malformed } = decode(text, file);
  const problems = documents.flatMap((document) => document.problems);
  if (malformed) return { file, objects: kept, problems };
  const objects = new Map<string, Placed>();
  for (const { object, ref, line } of documents) {
    if (object === null || ref === null) continue;
    const key = objectKey(ref);
    const twin = objects.get(key);
    if (twin === undefined) objects.set(key, { object, line, stale: false });
    else problems.push(duplicate(object, { file, line }, { file, line: twin.line }));
  }
  if (problems.length > 0) for (const [key, placed] of kept) if (!objects.has(key)) objects.set(key, placed);
  return { file, objects, problems };
}

export interface Merged {
  objects: ReadonlyMap<string, ApiObject>;
  /** Which file each object comes from. */
  owners: ReadonlyMap<string, string>;
  problems: readonly Problem[];
}

/**
 * Joins the files of a directory. Of an object in several files the one that is live already stays (else the first by
 * path), and the others are told; a copy kept from an earlier reading gives way to a fresh one.
 */
export function mergeFiles(files: readonly FileState[], owners: ReadonlyMap<string, string>): Merged {
  const claims = new Map<string, { file: string; placed: Placed }[]>();
  for (const { file, objects } of files) {
    for (const [key, placed] of objects) claims.getOrInsertComputed(key, () => []).push({ file, placed });
  }
  const objects = new Map<string, ApiObject>();
  const newOwners = new Map<string, string>();
  const problems = files.flatMap((file) => file.problems);
  for (const [key, all] of claims) {
    const fresh = all.filter(({ placed }) => !placed.stale);
    const contenders = fresh.length > 0 ? fresh : all;
    const winner = contenders.find(({ file }) => file === owners.get(key)) ?? contenders[0];
    if (winner === undefined) continue;
    objects.set(key, winner.placed.object);
    newOwners.set(key, winner.file);
    for (const loser of fresh) {
      if (loser === winner) continue;
      const place = { file: loser.file, line: loser.placed.line };
      problems.push(duplicate(loser.placed.object, place, { file: winner.file, line: winner.placed.line }));
    }
  }
  return { objects, owners: newOwners, problems };
}

interface Place {
  file: string;
  line: number;
}

function duplicate({ kind, metadata }: ApiObject, here: Place, there: Place): Problem {
  const name = metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
  return {
    ...here,
    field: 'metadata.name',
    reason: `${kind} ${name} is already defined in ${there.file}:${there.line}, which stays in force`,
    hint: 'remove one of the two',
  };
}
