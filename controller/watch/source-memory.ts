import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { check } from '../api/decode.ts';
import { refOf } from '../api/kinds.ts';
import { objectKey } from '../core/model.ts';
import type { SourceMemory } from './directory.ts';
import { writeFileAtomic } from './layer-files.ts';
import type { Placed } from './merge-files.ts';

const schema = z.record(z.string(), z.array(z.strictObject({ line: z.number(), object: z.looseObject({}) })));

/**
 * Keeps a directory's last good objects in one file, so that a manifest which is broken when the controller starts
 * has a good version to fall back on. A file that cannot be read counts as empty.
 */
export function sourceMemory(path: string): SourceMemory {
  let saved = '';
  return {
    load: () => {
      try {
        saved = readFileSync(path, 'utf8');
        const files = Object.entries(schema.parse(JSON.parse(saved)));
        return files.map(([file, placed]) => {
          const objects = new Map<string, Placed>();
          for (const { line, object } of placed) {
            const checked = check(object);
            if ('object' in checked) {
              objects.set(objectKey(refOf(checked.object)), { line, object: checked.object, stale: true });
            }
          }
          return { file, objects, problems: [] };
        });
      } catch {
        return [];
      }
    },
    save: (files) => {
      const content = files.map(({ file, objects }) => [
        file,
        [...objects.values()].map(({ line, object }) => ({ line, object })),
      ]);
      const text = JSON.stringify(Object.fromEntries(content));
      if (text === saved) return;
      writeFileAtomic(path, text);
      saved = text;
    },
  };
}
