import { KINDS, type Kind } from '../api/kinds.ts';
import { suggestion } from './arguments.ts';
import { usageError } from './errors.ts';

/** Finds a kind by its name, plural or short name, whatever the case. Throws a usage error with the nearest one. */
export function kindNamed(word: string): Kind {
  const wanted = word.toLowerCase();
  const found = KINDS.find((kind) => namesOf(kind).some((name) => name === wanted));
  if (found !== undefined) return found;
  throw usageError(`"${word}" is not a kind`, suggestion(wanted, KINDS.flatMap(namesOf)));
}

/** `l4policy, l4policies, l4p`: what a user may write for it. */
export function namesOf(kind: Kind): string[] {
  return [kind.kind.toLowerCase(), ...kind.aliases];
}
