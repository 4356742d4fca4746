/**
 * IP addresses as text in one canonical form (RFC 5952; an IPv4-mapped IPv6 address is its IPv4 address), so that text
 * can key a map, and as bytes or integers, so that prefixes can be compared.
 */

const HEXTET = /^[0-9a-f]{1,4}$/i;
const DECIMAL_BYTE = /^(?:0|[1-9]\d{0,2})$/;

/** The 4 or 16 bytes of an address, an IPv4-mapped one as 4; null for anything else, zones and leading zeros included. */
export function parseAddress(text: string): Uint8Array | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** Canonical text of 4 or 16 bytes; null for another length. */
export function formatAddress(bytes: Uint8Array): string | null {
  const plain = unmapped(bytes);
  if (plain.length === 4) return plain.join('.');
  return plain.length === 16 ? formatIpv6(plain) : null;
}

/** Canonical text of an address in any valid spelling; null when it is none. */
export function canonicalAddress(text: string): string | null {
  // IPv4 has but one spelling here; asked for each connection.
  if (!text.includes(':')) return ipv4Value(text) === null ? null : text;
  const bytes = parseAddress(text);
  return bytes === null ? null : formatAddress(bytes);
}

/** 4 or 6, of an address in canonical form. */
export function addressFamily(canonical: string): 4 | 6 {
  return canonical.includes(':') ? 6 : 4;
}

/** IPv4 as an unsigned 32-bit number, IPv6 as a 128-bit bigint: what prefixes are compared on. Null: no address. */
export function addressValue(text: string): number | bigint | null {
  if (!text.includes(':')) return ipv4Value(text);
  const bytes = parseIpv6(text);
  return bytes === null ? null : bytesValue(bytes);
}

/** As `addressValue`, of 4 or 16 bytes. */
export function bytesValue(bytes: Uint8Array): number | bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 4) return view.getUint32(0);
  return (view.getBigUint64(0) << 64n) | view.getBigUint64(8);
}

/** The last 4 bytes of an IPv4-mapped address, all others as they are. */
export function unmapped(bytes: Uint8Array): Uint8Array {
  return isMapped(bytes) ? bytes.subarray(12) : bytes;
}

/** `::ffff:0:0/96` (RFC 4291 §2.5.5.2). */
export function isMapped(bytes: Uint8Array): boolean {
  if (bytes.length !== 16 || bytes[10] !== 0xff || bytes[11] !== 0xff) return false;
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return true;
}

function ipv4Value(text: string): number | null {
  let value = 0;
  let part = -1;
  let parts = 0;
  for (let i = 0; i <= text.length; i++) {
    const digit = i === text.length ? -2 : text.charCodeAt(i) - 48;
    if (digit === -2) {
      if (part < 0) return null;
      value = value * 256 + part;
      parts++;
      part = -1;
    } else if (digit < 0 || digit > 9 || part === 0) {
      return null;
    } else {
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return null;
    }
  }
  return parts === 4 ? value : null;
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    if (!DECIMAL_BYTE.test(part) || Number(part) > 255) return null;
    bytes[i] = Number(part);
  }
  return bytes;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = hextets(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? hextets(halves[1] ?? '', true) : [];
  if (head === null || tail === null) return null;
  const gap = 16 - head.length - tail.length;
  if (halves.length === 2 ? gap < 2 : gap !== 0) return null;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return unmapped(bytes);
}

/** `ends`: the text is the end of the address, where the last four bytes may be dotted. */
function hextets(text: string, ends: boolean): number[] | null {
  const bytes: number[] = [];
  if (text === '') return bytes;
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    const last = i === parts.length - 1;
    const dotted = ends && last && part.includes('.') ? parseIpv4(part) : null;
    if (dotted !== null) {
      bytes.push(...dotted);
    } else if (HEXTET.test(part)) {
      const value = Number.parseInt(part, 16);
      bytes.push(value >> 8, value & 0xff);
    } else {
      return null;
    }
  }
  return bytes;
}

function formatIpv6(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(i * 2));
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    if (end > i) i = end;
  }
  const hex = groups.map((group) => group.toString(16));
  if (start < 0) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}
