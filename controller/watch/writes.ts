import type { DecodeResult } from '../api/decode.ts';
import { decode } from '../api/decode.ts';
import type { ApiObject } from '../api/kinds.ts';
import { refOf } from '../api/kinds.ts';
import type { Problem } from '../api/problem.ts';
import type { ObjectRef } from '../core/model.ts';
import { objectKey } from '../core/model.ts';
import type { ObjectChange, ObjectStore, WriteResult } from './object-store.ts';

/** What became of one object of a request. */
export interface ObjectResult {
  kind: string;
  namespace: string;
  name: string;
  result: WriteResult | 'invalid';
  /** Also of an object that was taken: a policy that cannot be enforced as written. */
  errors: Problem[];
  warnings: Problem[];
}

export interface WriteReply {
  /** False: something was invalid and nothing was changed. */
  applied: boolean;
  results: ObjectResult[];
}

interface Remark {
  field: string;
  reason: string;
}

/** The index, as far as a write needs it. */
export interface Judge {
  /** Errors and warnings of a policy in its surroundings, should `changes` be made. */
  review(
    changes: readonly ObjectChange[],
    refs: readonly ObjectRef[],
  ): ({ errors: readonly Remark[]; warnings: readonly Remark[] } | null)[];
}

const FILE = '-';

/** Objects that come over the API: all of a request or none. */
export class Writes {
  readonly #store: ObjectStore;
  readonly #judge: Judge;

  constructor(store: ObjectStore, judge: Judge) {
    this.#store = store;
    this.#judge = judge;
  }

  apply(layer: string, text: string, dryRun: boolean): WriteReply {
    const decoded = decode(text, FILE);
    const invalid = this.#refuse(decoded, true);
    if (invalid !== null) return invalid;
    const documents = decoded.documents.flatMap(({ object, lineOf }) => (object === null ? [] : [{ object, lineOf }]));
    const objects = documents.map(({ object }) => object);
    const previews = this.#store.preview(layer, objects);
    const reviews = this.#judge.review(
      previews.map(({ change }) => change),
      previews.map(({ change }) => change.ref),
    );
    if (!dryRun) this.#store.apply(layer, objects);
    const results = documents.map(({ object, lineOf }, at): ObjectResult => {
      const place = ({ field, reason }: Remark): Problem => ({ file: FILE, line: lineOf(field), field, reason });
      return {
        ...nameOf(refOf(object)),
        result: previews[at]?.result ?? 'unchanged',
        errors: (reviews[at]?.errors ?? []).map(place),
        warnings: (reviews[at]?.warnings ?? []).map(place),
      };
    });
    return { applied: true, results };
  }

  delete(layer: string, text: string): WriteReply {
    const decoded = decode(text, FILE);
    // What else a manifest says does not matter: only its name must be readable.
    const invalid = this.#refuse(decoded, false);
    if (invalid !== null) return invalid;
    const refs = decoded.documents.flatMap(({ ref }) => (ref === null ? [] : [ref]));
    const outcomes = this.#store.delete(layer, refs);
    const results = refs.map((ref, at): ObjectResult => {
      return { ...nameOf(ref), result: outcomes[at] ?? 'not found', errors: [], warnings: [] };
    });
    return { applied: true, results };
  }

  #refuse({ documents }: DecodeResult, mustBeValid: boolean): WriteReply | null {
    const seen = new Map<string, number>();
    const faults = documents.map(({ ref, problems, line, object }) => {
      if (problems.length > 0) return mustBeValid || ref === null ? problems : [];
      const key = ref === null ? '' : objectKey(ref);
      const twin = seen.get(key);
      seen.set(key, line);
      if (twin === undefined || !mustBeValid) return [];
      return [{ file: FILE, line, field: 'metadata.name', reason: `${describe(object)} stands on line ${twin}, too` }];
    });
    if (faults.every((problems) => problems.length === 0)) return null;
    const results = documents.map(({ ref }, at): ObjectResult => {
      const errors = [...(faults[at] ?? [])];
      const name = ref === null ? { kind: '', namespace: '', name: '' } : nameOf(ref);
      return { ...name, result: errors.length > 0 ? 'invalid' : 'unchanged', errors, warnings: [] };
    });
    return { applied: false, results };
  }
}

function nameOf({ kind, namespace, name }: ObjectRef): Pick<ObjectResult, 'kind' | 'namespace' | 'name'> {
  return { kind, namespace, name };
}

function describe(object: ApiObject | null): string {
  return object === null ? 'it' : `${object.kind} ${object.metadata.name}`;
}
