import { bytesValue, isMapped, parseAddress } from './address.ts';
import type { Cidr } from './policy.ts';

/** `10.0.0.0/8`, or an address alone for its full length; null when it is neither. Host bits are kept, and ignored. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const bytes = parseAddress(address);
  if (bytes === null) return null;
  if (slash < 0) return { bytes, length: bytes.length * 8 };
  const digits = text.slice(slash + 1);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(digits)) return null;
  const mapped = bytes.length === 4 && address.includes(':');
  const length = Number(digits) - (mapped ? 96 : 0);
  return length < 0 || length > bytes.length * 8 ? null : { bytes, length };
}

/** From the wire: null unless 4 or 16 bytes and a length that fits. An IPv4-mapped block becomes the IPv4 one. */
export function cidrFromBytes(bytes: Uint8Array, length: number): Cidr | null {
  if ((bytes.length !== 4 && bytes.length !== 16) || length > bytes.length * 8) return null;
  if (isMapped(bytes) && length >= 96) return { bytes: bytes.slice(12), length: length - 96 };
  return { bytes: bytes.slice(), length };
}

/** One block against one address value; for many blocks use `CidrSet` in `decide/`. */
export function cidrContains(cidr: Cidr, address: number | bigint): boolean {
  const base = bytesValue(cidr.bytes);
  return typeof base === typeof address && prefixOf(base, cidr.length) === prefixOf(address, cidr.length);
}

/** The leading `length` bits of an address value, shifted down. */
export function prefixOf(value: number | bigint, length: number): number | bigint {
  if (typeof value === 'bigint') return value >> BigInt(128 - length);
  return length === 0 ? 0 : value >>> (32 - length);
}
