import { isIP } from 'node:net';
import test from 'ava';
import { addressValue, canonicalAddress, formatAddress, parseAddress } from '../../../../agent/model/address.ts';
import { cidrContains, cidrFromBytes, parseCidr } from '../../../../agent/model/cidr.ts';
import { formatSpiffe, parseSpiffe } from '../../../../agent/model/identity.ts';
import { addressBytes, seededRandom } from '../../../support/mesh.ts';

test('addresses have one canonical form (RFC 5952)', (t) => {
  const forms = {
    '10.0.0.1': '10.0.0.1',
    '::': '::',
    '::1': '::1',
    '1::': '1::',
    '2001:DB8::0001': '2001:db8::1',
    '2001:db8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '2001:0:0:1:0:0:0:1': '2001:0:0:1::1',
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '::ffff:10.0.0.1': '10.0.0.1',
    '::FFFF:0a00:1': '10.0.0.1',
    '64:ff9b::192.0.2.33': '64:ff9b::c000:221',
  };
  for (const [text, canonical] of Object.entries(forms)) t.is(canonicalAddress(text), canonical, text);
});

test('what is no address is none', (t) => {
  const texts = [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.-4',
    '1..2.3',
    ' 1.2.3.4',
    '1.2.3.4 ',
    '0x1.2.3.4',
  ];
  texts.push(
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'g::',
    'fe80::1%eth0',
    '::1.2.3',
    '1.2.3.4::',
  );
  texts.push('1:2:3:4:5:6:7::8');
  for (const text of texts) {
    t.is(parseAddress(text), null, text);
    t.is(addressValue(text), null, text);
  }
  t.is(formatAddress(new Uint8Array(5)), null);
});

test('random IPv6 texts are read and written as Node does', (t) => {
  const random = seededRandom(7);
  const digit = () => ['0', '0', '1', 'f', 'ab', '0db8', '00'][Math.floor(random() * 7)] ?? '0';
  for (let i = 0; i < 5_000; i++) {
    const parts = Array.from({ length: 1 + Math.floor(random() * 9) }, digit);
    const text = random() < 0.6 ? parts.with(Math.floor(random() * parts.length), '').join(':') : parts.join(':');
    const canonical = canonicalAddress(text);
    t.is(canonical === null ? 0 : 6, isIP(text), text);
    // The serialiser of URLs follows RFC 5952 too, but keeps IPv4-mapped addresses as IPv6.
    if (canonical?.includes(':')) t.is(`[${canonical}]`, new URL(`http://[${text}]`).hostname);
  }
});

test('an IPv4 address has the value of its bytes', (t) => {
  const random = seededRandom(3);
  for (let i = 0; i < 1_000; i++) {
    const value = Math.floor(random() * 2 ** 32);
    const text = [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
    t.is(addressValue(text), value);
    t.is(canonicalAddress(text), text);
  }
});

test('a block contains what shares its leading bits', (t) => {
  const inside = (block: string, address: string) => {
    const cidr = parseCidr(block);
    const value = addressValue(address);
    return cidr !== null && value !== null && cidrContains(cidr, value);
  };
  t.true(inside('10.0.0.77/8', '10.255.0.1'));
  t.false(inside('10.0.0.0/8', '11.0.0.1'));
  t.true(inside('0.0.0.0/0', '203.0.113.1'));
  t.false(inside('0.0.0.0/0', '::1'));
  t.true(inside('fd00::/8', 'fdff::1'));
  t.false(inside('fd00::/16', 'fd01::1'));
  t.true(inside('::/0', 'fd01::1'));
  t.true(inside('192.0.2.1', '192.0.2.1'));
  t.false(inside('192.0.2.1', '192.0.2.0'));
  t.true(inside('::ffff:10.0.0.0/104', '10.1.2.3'));
});

test('what is no block is none', (t) => {
  for (const text of [
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '::/129',
    'x/8',
    '/8',
    '::ffff:10.0.0.0/95',
  ]) {
    t.is(parseCidr(text), null, text);
  }
  t.is(cidrFromBytes(new Uint8Array(5), 8), null);
  t.is(cidrFromBytes(new Uint8Array(4), 33), null);
  t.deepEqual(cidrFromBytes(new Uint8Array([...Array(10).fill(0), 255, 255, 10, 0, 0, 0]), 104), {
    bytes: addressBytes('10.0.0.0'),
    length: 8,
  });
});

test('SPIFFE IDs of our form come back as they were, others are none', (t) => {
  const id = 'spiffe://cluster.local/ns/shop/sa/web';
  const identity = parseSpiffe(id);
  t.deepEqual(identity, { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' });
  t.is(identity && formatSpiffe(identity), id);
  for (const text of [
    'spiffe://td/ns/a/sa/',
    'spiffe://td/ns/a/sa/b/c',
    'spiffe://td/ns/a/b/sa/c',
    'spiffe://TD/ns/a/sa/b',
    'http://td/ns/a/sa/b',
    'spiffe:///ns/a/sa/b',
    ' spiffe://td/ns/a/sa/b',
    `spiffe://td/ns/a/sa/${'b'.repeat(2_048)}`,
  ]) {
    t.is(parseSpiffe(text), null, text);
  }
});
