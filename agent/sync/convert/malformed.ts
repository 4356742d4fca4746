/** A resource that cannot be taken as it is: `message` names field and reason. */
export class Malformed extends Error {
  override name = 'Malformed';
}

/** 1 to 65535. */
export function portOf(value: number, field: string): number {
  if (value < 1 || value > 65_535) throw new Malformed(`${field}: ${value} is no port`);
  return value;
}

/** The named value of a wire enum; one that this version does not know is refused, never guessed. */
export function enumOf<T>(names: Readonly<Record<number, T>>, value: number, field: string): T {
  const name = names[value];
  if (name === undefined) throw new Malformed(`${field}: unknown value ${value}`);
  return name;
}

export function nonEmpty(value: string, field: string): string {
  if (value === '') throw new Malformed(`${field} is empty`);
  return value;
}
