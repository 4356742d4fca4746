import { KINDS, type Kind } from '../api/kinds.ts';
import { nearest } from '../api/suggest.ts';
import { usageError } from './errors.ts';

/** Finds a kind by its name, plural or short name, whatever the case. Throws a usage error with the nearest one. */
export function kindNamed(word: string): Kind {
  const wanted = word.toLowerCase();
  const found = KINDS.find((kind) => namesOf(kind).some((name) => name === wanted));
  if (found !== undefined) return found;
  const close = nearest(wanted, KINDS.flatMap(namesOf));
  const kinds = `kinds are ${KINDS.map((kind) => kind.kind.toLowerCase()).join(', ')}`;
  throw usageError(`"${word}" is not a kind`, close === null ? kinds : `did you mean "${close}"?`);
}

/** `l4policy, l4policies, l4p`: what a user may write for it. */
export function namesOf(kind: Kind): string[] {
  return [kind.kind.toLowerCase(), ...kind.aliases];
}
