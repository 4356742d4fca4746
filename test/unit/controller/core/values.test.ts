import test from 'ava';
import { canonicalAddress, parseCidr } from '../../../../controller/core/address.ts';
import { policyConditions } from '../../../../controller/core/conditions.ts';
import {
  complementRanges,
  countPorts,
  expandRanges,
  normaliseRanges,
  parsePorts,
} from '../../../../controller/core/ports.ts';
import { SelectorIndex } from '../../../../controller/core/selector.ts';
import { matchesString, parseStringMatch, type StringMatch } from '../../../../controller/core/string-match.ts';
import { vectorTest } from '../../../support/vectors.ts';

interface Vectors {
  cases: { type: string; value: string; input: string; expect: boolean }[];
}

vectorTest<Vectors>('matchesString agrees with ztunnel', 'authz/string_match.json', (t, { cases }) => {
  for (const { type, value, input, expect } of cases) {
    const match = { kind: type.toLowerCase(), value } as StringMatch;
    t.is(matchesString(match, input), expect, `${type} ${value} ${input}`);
  }
});

test('parseStringMatch takes a star at one end only', (t) => {
  t.deepEqual(parseStringMatch('a*'), { kind: 'prefix', value: 'a' });
  t.deepEqual(parseStringMatch('*a'), { kind: 'suffix', value: 'a' });
  t.deepEqual(parseStringMatch('*'), { kind: 'presence' });
  for (const bad of ['', 'a*b', '*a*', '**']) t.is(parseStringMatch(bad), null);
});

test('port ranges are read, joined and complemented', (t) => {
  t.deepEqual(parsePorts('8000-8100'), { first: 8000, last: 8100 });
  t.deepEqual(parsePorts(80), { first: 80, last: 80 });
  for (const bad of [0, 65_536, '2-1', '1-', '-1', '1-65536', ' 1', '1e3', 1.5])
    t.is(parsePorts(bad), null, String(bad));
  const joined = normaliseRanges([
    { first: 10, last: 20 },
    { first: 1, last: 5 },
    { first: 6, last: 8 },
    { first: 12, last: 15 },
  ]);
  t.deepEqual(joined, [
    { first: 1, last: 8 },
    { first: 10, last: 20 },
  ]);
  t.deepEqual(complementRanges(joined), [
    { first: 9, last: 9 },
    { first: 21, last: 65_535 },
  ]);
  t.is(countPorts(joined) + countPorts(complementRanges(joined)), 65_535);
  t.deepEqual(complementRanges([{ first: 1, last: 65_535 }]), []);
  t.deepEqual(expandRanges(joined).length, 19);
});

test('blocks have no host bits, in either family', (t) => {
  t.deepEqual(parseCidr('10.128.0.0/9'), { ok: true, cidr: { bytes: [10, 128, 0, 0], length: 9 } });
  t.deepEqual(parseCidr('0.0.0.0/0'), { ok: true, cidr: { bytes: [0, 0, 0, 0], length: 0 } });
  t.like(parseCidr('10.128.0.0/8'), { ok: false, hint: 'write 10.0.0.0/8' });
  t.like(parseCidr('fd00::1'), { ok: true, cidr: { length: 128 } });
  t.like(parseCidr('fd00:0:0:1::/48'), { ok: false, hint: 'write fd00::/48' });
  for (const bad of ['10.0.0.0/', '10.0.0.0/08', '10.0.0/8', 'fe80::1%eth0', '::ffff:1.2.3.4', ''])
    t.false(parseCidr(bad).ok, bad);
  t.is(canonicalAddress('FD00:0:0::0001'), 'fd00::1');
});

test('a selector index finds those that match, and forgets', (t) => {
  const index = new SelectorIndex();
  index.set('one', { app: 'a' });
  index.set('two', { app: 'a', tier: 'x' });
  index.set('three', { app: 'b' });
  t.deepEqual(index.match({ app: 'a', tier: 'x', other: 'y' }), ['one', 'two']);
  index.set('one', { app: 'b' });
  index.delete('two');
  t.deepEqual(index.match({ app: 'a', tier: 'x' }), []);
  t.deepEqual(index.match({ app: 'b' }), ['one', 'three']);
});

test('Enforced tells how far a policy has come', (t) => {
  const facts = { generation: 3, audit: false, unenforceable: [], unresolved: [], nodes: 2, inForce: 1 };
  const enforced = (more: Partial<Parameters<typeof policyConditions>[0]>) =>
    policyConditions({ ...facts, ...more })[2];
  t.like(enforced({}), {
    status: 'False',
    reason: 'Pending',
    message: 'in force on 1 of 2 nodes',
    observedGeneration: 3,
  });
  t.like(enforced({ inForce: 2 }), { status: 'True', message: 'in force on 2 of 2 nodes' });
  t.like(enforced({ inForce: 2, audit: true }), { status: 'True', reason: 'Audited' });
  t.like(enforced({ nodes: 0, inForce: 0 }), { status: 'Unknown' });
  const unenforceable = [{ field: 'spec.x', reason: 'why' }];
  t.like(enforced({ inForce: 2, unenforceable }), { status: 'False', reason: 'NotEnforceable' });
});
