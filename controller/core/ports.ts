/** Inclusive, 1 to 65535. */
export interface PortRange {
  first: number;
  last: number;
}

/** As users write it: a number, or `"a-b"`. */
export type PortSpec = number | string;

const RANGE = /^(\d{1,5})(?:-(\d{1,5}))?$/;

/** Null when it is not a port or a range of ports with first ≤ last. */
export function parsePorts(spec: PortSpec): PortRange | null {
  const found = RANGE.exec(String(spec));
  if (found === null) return null;
  const first = Number(found[1]);
  const last = found[2] === undefined ? first : Number(found[2]);
  if (first < 1 || last > 65_535 || first > last) return null;
  return { first, last };
}

/** Sorted, and joined where they touch or overlap. */
export function normaliseRanges(ranges: readonly PortRange[]): PortRange[] {
  const joined: PortRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const previous = joined.at(-1);
    if (previous !== undefined && range.first <= previous.last + 1) {
      joined[joined.length - 1] = { first: previous.first, last: Math.max(previous.last, range.last) };
    } else {
      joined.push(range);
    }
  }
  return joined;
}

/** How many ports normalised ranges hold. */
export function countPorts(ranges: readonly PortRange[]): number {
  return ranges.reduce((sum, range) => sum + range.last - range.first + 1, 0);
}

/** What normalised ranges leave of 1 to 65535. */
export function complementRanges(ranges: readonly PortRange[]): PortRange[] {
  const rest: PortRange[] = [];
  let next = 1;
  for (const range of ranges) {
    if (range.first > next) rest.push({ first: next, last: range.first - 1 });
    next = range.last + 1;
  }
  if (next <= 65_535) rest.push({ first: next, last: 65_535 });
  return rest;
}

/** Every port of the ranges, in order. */
export function expandRanges(ranges: readonly PortRange[]): number[] {
  const ports: number[] = [];
  for (const { first, last } of ranges) for (let port = first; port <= last; port++) ports.push(port);
  return ports;
}
