import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { check } from '../api/decode.ts';
import type { ApiObject } from '../api/kinds.ts';
import { formatPath } from '../api/problem.ts';
import { contentHash } from '../core/hash.ts';
import type { ObjectRef } from '../core/model.ts';
import { objectKey } from '../core/model.ts';

export type StoredObject = { object: ApiObject } | { tombstone: ObjectRef; at: string };

/** Where a layer's objects outlive the process. */
export interface LayerFiles {
  load(): StoredObject[];
  write(ref: ObjectRef, stored: StoredObject): void;
  erase(ref: ObjectRef): void;
}

const envelope = z.union([
  z.strictObject({ object: z.looseObject({}) }),
  z.strictObject({
    tombstone: z.strictObject({ group: z.string(), kind: z.string(), namespace: z.string(), name: z.string() }),
    at: z.string(),
  }),
]);

/** Replaces a file in one step, readable by its owner only. */
export function writeFileAtomic(path: string, content: string): void {
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, content, { mode: 0o600 });
  renameSync(temporary, path);
}

/** One file an object in a directory (0700). What cannot be read is reported and left where it is. */
export function layerDirectory(directory: string, onBad: (file: string, reason: string) => void): LayerFiles {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // Names are bounded by the API, but a file name of group, kind, namespace and name could still be too long.
  const fileOf = (ref: ObjectRef) =>
    join(
      directory,
      `${ref.kind}.${ref.namespace}.${ref.name}`.slice(0, 200).concat('.', contentHash(objectKey(ref)), '.json'),
    );
  return {
    load: () =>
      readdirSync(directory)
        .filter((name) => name.endsWith('.json'))
        .sort()
        .flatMap((name) => {
          const file = join(directory, name);
          const read = readStored(file);
          if (typeof read !== 'string') return [read];
          onBad(file, read);
          return [];
        }),
    write: (ref, stored) => writeFileAtomic(fileOf(ref), JSON.stringify(stored)),
    erase: (ref) => rmSync(fileOf(ref), { force: true }),
  };
}

function readStored(file: string): StoredObject | string {
  try {
    const parsed = envelope.parse(JSON.parse(readFileSync(file, 'utf8')));
    if ('tombstone' in parsed) return parsed;
    const checked = check(parsed.object);
    if ('object' in checked) return checked;
    return checked.faults.map(({ path, reason }) => `${formatPath(path)}: ${reason}`).join('; ');
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
