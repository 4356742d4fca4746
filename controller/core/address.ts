import ipaddr from 'ipaddr.js';

/** A block of addresses in network order: 4 or 16 bytes and a prefix length. Host bits are zero. */
export interface Cidr {
  bytes: readonly number[];
  length: number;
}

export type CidrResult = { ok: true; cidr: Cidr } | { ok: false; reason: string; hint?: string };

/** Only the four-part decimal form of IPv4 and RFC 4291 IPv6 without a zone: no octal, no `10.1`, no v4-mapped. */
function parseStrict(text: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text)) return ipaddr.IPv6.parse(text);
  return null;
}

/** The canonical text (RFC 5952) of an address, or null. */
export function canonicalAddress(text: string): string | null {
  return parseStrict(text)?.toString() ?? null;
}

/** Network-order bytes of a valid address. */
export function addressBytes(text: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(text).toByteArray());
}

/** An address, or `address/length` with all host bits zero. */
export function parseCidr(text: string): CidrResult {
  const slash = text.indexOf('/');
  const address = parseStrict(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return { ok: false, reason: `"${text}" is not an IP address or CIDR` };
  if (address.kind() === 'ipv6' && (address as ipaddr.IPv6).isIPv4MappedAddress()) {
    return { ok: false, reason: `"${text}" is an IPv4-mapped address`, hint: 'write the IPv4 address' };
  }
  const bytes = address.toByteArray();
  const width = bytes.length * 8;
  const suffix = slash < 0 ? String(width) : text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(suffix) || Number(suffix) > width) {
    return { ok: false, reason: `"${text}" has a bad prefix length`, hint: `0 to ${width}` };
  }
  const length = Number(suffix);
  const network = bytes.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, length - at * 8))) & 0xff);
  if (network.some((byte, at) => byte !== bytes[at])) {
    const base = ipaddr.fromByteArray(network).toString();
    return { ok: false, reason: `"${text}" has host bits set`, hint: `write ${base}/${length}` };
  }
  return { ok: true, cidr: { bytes, length } };
}
