import test from 'ava';
import { Balancer } from '../../../../agent/balance/balancer.ts';
import { judgeAtSource } from '../../../../agent/decide/judge.ts';
import { decideOutbound, factsOf } from '../../../../agent/decide/outbound.ts';
import { aService, aSnapshot, aWorkload, endpointOf, inbound, seededRandom } from '../../../support/mesh.ts';

/** Microseconds from the original destination to the verdict, the best of three rounds. */
function costOfConnection(endpoints: number): number {
  const source = aWorkload('shop/web', { addresses: ['10.255.0.1'] });
  const workloads = Array.from({ length: endpoints }, (_, i) =>
    aWorkload(`shop/db-${i}`, {
      addresses: [`10.${i >> 8}.${i & 255}.1`],
      services: endpointOf(['shop/db', { 80: 5432 }]),
    }),
  );
  const services = [aService('shop/db', { 80: 5432 }, { addresses: ['10.96.0.5'] })];
  const policies = [inbound('shop/in', 'Allow', [{ namespaces: [{ kind: 'exact', value: 'shop' }] }])];
  const snapshot = aSnapshot({ workloads: [source, ...workloads], services, policies });
  const balancer = new Balancer({ monotonicMs: () => 0, random: seededRandom(1) });
  const request = { source, sourceAddress: '10.255.0.1', destination: { address: '10.96.0.5', port: 80 } };
  const none = new Set<string>();
  const decide = () => {
    const decision = decideOutbound(request, snapshot);
    if (decision.action === 'refuse') throw new Error(decision.reason);
    const client = { address: '10.255.0.1', service: decision.service, servicePort: 80 };
    const candidate = balancer.pick(decision.candidates, none, client);
    if (candidate === null) throw new Error('no candidate');
    return judgeAtSource(factsOf(request, decision, candidate), candidate.path, snapshot).allowed;
  };
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round++) {
    const startedMs = performance.now();
    for (let i = 0; i < 10_000; i++) decide();
    best = Math.min(best, (performance.now() - startedMs) / 10);
  }
  return best;
}

test('a connection to a Service of 10,000 endpoints costs about what one to 3 does', (t) => {
  const few = costOfConnection(3);
  const many = costOfConnection(10_000);
  t.log(`resolve, pick and judge: ${few.toFixed(2)} µs with 3 endpoints, ${many.toFixed(2)} µs with 10,000`);
  // Loose: the machine is shared. Walking the list would take some two hundred microseconds.
  t.true(many < 60, `${many} µs`);
});
