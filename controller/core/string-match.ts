/** Istio's string match: `exact`, `prefix*`, `*suffix`, and `*` for any non-empty string. */
export type StringMatch =
  | { kind: 'exact'; value: string }
  | { kind: 'prefix'; value: string }
  | { kind: 'suffix'; value: string }
  | { kind: 'presence' };

/** Null when `*` stands anywhere but at one end: such a pattern would be taken for an exact name that never matches. */
export function parseStringMatch(text: string): StringMatch | null {
  if (text === '') return null;
  if (text === '*') return { kind: 'presence' };
  const star = text.indexOf('*');
  if (star < 0) return { kind: 'exact', value: text };
  if (text.lastIndexOf('*') !== star) return null;
  if (star === text.length - 1) return { kind: 'prefix', value: text.slice(0, -1) };
  if (star === 0) return { kind: 'suffix', value: text.slice(1) };
  return null;
}

/** Whether `input` matches. */
export function matchesString(match: StringMatch, input: string): boolean {
  switch (match.kind) {
    case 'exact':
      return input === match.value;
    case 'prefix':
      return input.startsWith(match.value);
    case 'suffix':
      return input.endsWith(match.value);
    case 'presence':
      return input !== '';
  }
}
