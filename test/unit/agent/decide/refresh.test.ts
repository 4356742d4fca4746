import test from 'ava';
import { refreshFacts } from '../../../../agent/decide/refresh.ts';
import { aService, aSnapshot, aWorkload, facts } from '../../../support/mesh.ts';

const web = aWorkload('shop/web', { addresses: ['10.0.0.1'], podUid: 'u1' });
const db = aWorkload('shop/db', { addresses: ['10.0.0.2'], podUid: 'u2' });
const service = aService('shop/db', { 80: 80 });
const live = facts({ source: web, destination: db, service, servicePort: 80 });

test('facts are brought up to date by uid and key', (t) => {
  const relabelled = { ...db, canonicalRevision: 'v2' };
  const changed = { ...service, name: 'renamed' };
  const snapshot = aSnapshot({ workloads: [web, relabelled], services: [changed] });
  const { facts: now } = refreshFacts(live, snapshot);
  t.is(now?.destination, relabelled);
  t.is(now?.service, changed);
  t.is(now?.sourceIdentity, web.identity);
});

test('a removed destination, or its address under another pod, ends the connection', (t) => {
  t.is(refreshFacts(live, aSnapshot({ workloads: [web] })).gone, 'endpoint_removed');
  const successor = { ...db, podUid: 'u3' };
  t.is(refreshFacts(live, aSnapshot({ workloads: [web, successor] })).gone, 'endpoint_removed');
});

test('a source under another identity or another pod ends the connection, a removed one does not', (t) => {
  const moved = { ...web, identity: { ...web.identity, serviceAccount: 'admin' } };
  t.is(refreshFacts(live, aSnapshot({ workloads: [moved, db] })).gone, 'identity_changed');
  t.is(refreshFacts(live, aSnapshot({ workloads: [{ ...web, podUid: 'u9' }, db] })).gone, 'identity_changed');
  t.is(refreshFacts(live, aSnapshot({ workloads: [db] })).facts?.source, web);
});

test('an identity that was never attested does not become one', (t) => {
  const unknown = { ...live, sourceIdentity: null };
  t.is(refreshFacts(unknown, aSnapshot({ workloads: [web, db] })).facts?.sourceIdentity, null);
});

test('an outside address that turns out to be a workload is judged as one', (t) => {
  const outside = facts({ source: web, destinationAddress: '10.0.0.2' });
  t.is(refreshFacts(outside, aSnapshot({ workloads: [web, db] })).facts?.destination, db);
});
