import type { PortRange } from '../../model/policy.ts';

/** Any of some port ranges: sorted, merged, found by bisection. */
export class PortSet {
  readonly ranges: readonly PortRange[];

  constructor(ranges: readonly PortRange[]) {
    const merged: PortRange[] = [];
    for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
      const last = merged.at(-1);
      if (last !== undefined && range.first <= last.last + 1) last.last = Math.max(last.last, range.last);
      else merged.push({ ...range });
    }
    this.ranges = merged;
  }

  /** Null for no ranges: the field is not set. */
  static of(ranges: readonly PortRange[]): PortSet | null {
    return ranges.length === 0 ? null : new PortSet(ranges);
  }

  has(port: number): boolean {
    let low = 0;
    let high = this.ranges.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const range = this.ranges[middle];
      if (range === undefined) return false;
      if (port < range.first) high = middle - 1;
      else if (port > range.last) low = middle + 1;
      else return true;
    }
    return false;
  }

  /** The ports one by one when there are at most `limit`, else null. */
  list(limit: number): number[] | null {
    const ports: number[] = [];
    for (const { first, last } of this.ranges) {
      if (ports.length + last - first + 1 > limit) return null;
      for (let port = first; port <= last; port++) ports.push(port);
    }
    return ports;
  }
}
