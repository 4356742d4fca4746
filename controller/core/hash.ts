import { hash } from 'node:crypto';

/**
 * Part of every version: raised when the same value is written differently on the wire, so that an agent which
 * reconnects to a newer controller takes the new form instead of keeping what it has.
 */
const WIRE_EPOCH = 1;

/** Stable for equal values: keys are sorted, arrays keep their order. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  const parts: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[key];
    if (member !== undefined) parts.push(`${JSON.stringify(key)}:${canonicalJson(member)}`);
  }
  return `{${parts.join(',')}}`;
}

/** 16 hex digits of SHA-256 over the value's JSON. The value must be built with its keys always in one order. */
export function contentHash(value: unknown): string {
  return hash('sha256', `${WIRE_EPOCH}${JSON.stringify(value)}`, 'hex').slice(0, 16);
}
