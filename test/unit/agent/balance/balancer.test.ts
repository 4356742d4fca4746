import test from 'ava';
import { Balancer, endpointKey } from '../../../../agent/balance/balancer.ts';
import { BALANCE_LIMITS } from '../../../../agent/balance/limits.ts';
import type { Candidate } from '../../../../agent/model/connection.ts';
import { aService, aWorkload, seededRandom } from '../../../support/mesh.ts';

const candidate = (i: number, capacity = 1): Candidate => ({
  workload: aWorkload(`ns/w${i}`, { capacity }),
  address: `10.0.0.${i}`,
  port: 80,
  path: 'SameNode',
});
const NONE: ReadonlySet<string> = new Set();
const anyone = { address: '10.1.0.1', service: null, servicePort: 80 };
const sticky = aService('ns/app', { 80: 80 }, { sessionAffinitySeconds: 10 });

function setup(limits = BALANCE_LIMITS) {
  const clock = { ms: 1_000 };
  return { clock, balancer: new Balancer({ monotonicMs: () => clock.ms, random: seededRandom(11), limits }) };
}

test('connections that stay open spread as capacity says', (t) => {
  const { balancer } = setup();
  const candidates = [candidate(1), candidate(2), candidate(3, 2), candidate(4, 0)];
  for (let i = 0; i < 400; i++) {
    const chosen = balancer.pick(candidates, NONE, anyone);
    if (chosen !== null) balancer.opened(chosen);
  }
  const open = candidates.map((each) => balancer.openTo(each));
  t.is(open[3], 0);
  for (const [i, ideal] of [100, 100, 200].entries()) t.true(Math.abs((open[i] ?? 0) - ideal) <= 12, `${open}`);
});

test('of two endpoints the less loaded one is taken', (t) => {
  const { balancer } = setup();
  const [a, b] = [candidate(1), candidate(2)];
  balancer.opened(a);
  for (let i = 0; i < 50; i++) t.is(balancer.pick([a, b], NONE, anyone), b);
  balancer.closed(a);
  balancer.closed(a);
  t.is(balancer.openTo(a), 0);
});

test('nothing is picked from nothing, from what was tried, or from what has no capacity', (t) => {
  const { balancer } = setup();
  t.is(balancer.pick([], NONE, anyone), null);
  t.is(balancer.pick([candidate(1)], new Set([endpointKey(candidate(1))]), anyone), null);
  t.is(balancer.pick([candidate(1, 0)], NONE, anyone), null);
});

test('a failed endpoint is left out for a while that grows, is bounded, and ends with a success', (t) => {
  const { balancer, clock } = setup();
  const [a, b] = [candidate(1), candidate(2)];
  const outFor = () => {
    const since = clock.ms;
    while (Array.from({ length: 20 }, () => balancer.pick([a, b], NONE, anyone)).every((each) => each === b))
      clock.ms += 100;
    return clock.ms - since;
  };
  const pauses = Array.from({ length: 9 }, () => {
    balancer.connectFailed(a);
    // What was under way fails too; together they are one failure.
    balancer.connectFailed(a);
    return outFor();
  });
  t.deepEqual(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  balancer.connectSucceeded(a);
  balancer.connectFailed(a);
  t.is(outFor(), 500);
});

test('ejection never leaves nothing to choose from', (t) => {
  const { balancer } = setup();
  const candidates = [candidate(1), candidate(2), candidate(3, 0)];
  for (const each of candidates.slice(0, 2)) balancer.connectFailed(each);
  t.not(balancer.pick(candidates, NONE, anyone), null);
});

test('a client keeps its endpoint until it was quiet for the timeout', (t) => {
  const { balancer, clock } = setup();
  const candidates = Array.from({ length: 20 }, (_, i) => candidate(i + 1));
  const client = { address: '10.1.0.1', service: sticky, servicePort: 80 };
  const first = balancer.pick(candidates, NONE, client);
  for (let i = 0; i < 10; i++) {
    clock.ms += 9_999;
    t.is(balancer.pick(candidates, NONE, client), first);
  }
  clock.ms += 10_000;
  const later = new Set<Candidate | null>();
  for (let i = 0; i < 20; i++) {
    later.add(balancer.pick(candidates, NONE, client));
    clock.ms += 10_000;
  }
  t.true(later.size > 1);
});

test('a client gets another endpoint, and keeps that, when its own fails or goes', (t) => {
  const { balancer } = setup();
  const candidates = Array.from({ length: 5 }, (_, i) => candidate(i + 1));
  const client = { address: '10.1.0.1', service: sticky, servicePort: 80 };
  const first = balancer.pick(candidates, NONE, client);
  if (first === null) return t.fail();
  const second = balancer.pick(candidates, new Set([endpointKey(first)]), client);
  t.not(second, first);
  t.is(balancer.pick(candidates, NONE, client), second);
  const rest = candidates.filter((each) => each !== second);
  const third = balancer.pick(rest, NONE, client);
  t.not(third, second);
  t.is(balancer.pick(candidates, NONE, client), third);
});

test('the table of clients is bounded and forgets the quietest', (t) => {
  const { balancer } = setup({ ...BALANCE_LIMITS, affinityEntries: 100 });
  const candidates = Array.from({ length: 50 }, (_, i) => candidate(i + 1));
  const client = (i: number) => ({ address: `10.1.0.${i}`, service: sticky, servicePort: 80 });
  const kept = balancer.pick(candidates, NONE, client(0));
  for (let i = 1; i <= 500; i++) {
    balancer.pick(candidates, NONE, client(i));
    t.is(balancer.pick(candidates, NONE, client(0)), kept);
  }
  t.is(balancer.affinity.size, 100);
  t.is(balancer.affinity.evicted, 401);
});

test('the table of failures is bounded', (t) => {
  const { balancer } = setup({ ...BALANCE_LIMITS, ejectionEntries: 10 });
  for (let i = 0; i < 100; i++) balancer.connectFailed(candidate(i));
  t.is(balancer.ejections.size, 10);
});
