import test from 'ava';
import { ServiceAddresses } from '../../../deploy/lab/cluster/services.ts';
import { service } from './objects.ts';

test('a Service gets one address of each family and keeps them', (t) => {
  const addresses = new ServiceAddresses();
  const first = addresses.assign('shop/a', service('a', {})).service.spec;
  t.deepEqual(first.clusterIPs, ['10.96.0.11', 'fd00:10:96::b']);
  t.is(first.clusterIP, '10.96.0.11');
  t.deepEqual(addresses.assign('shop/b', service('b', {})).service.spec.clusterIPs, ['10.96.0.12', 'fd00:10:96::c']);
  t.deepEqual(addresses.assign('shop/a', service('a', {})).service.spec.clusterIPs, first.clusterIPs);
});

test('a released address is given again', (t) => {
  const addresses = new ServiceAddresses();
  addresses.assign('shop/a', service('a', {}));
  addresses.release('shop/a');
  t.is(addresses.assign('shop/b', service('b', {})).service.spec.clusterIP, '10.96.0.11');
});

test('an asked-for address is honoured, and refused when another holds it', (t) => {
  const addresses = new ServiceAddresses();
  t.is(addresses.assign('shop/a', service('a', { clusterIP: '10.96.7.7' })).service.spec.clusterIP, '10.96.7.7');
  t.is(
    addresses.assign('shop/b', service('b', { clusterIP: '10.96.7.7' })).fault,
    'clusterIP 10.96.7.7 is taken by Service shop/a',
  );
});

test('an automatic address avoids the asked-for ones', (t) => {
  const addresses = new ServiceAddresses();
  addresses.assign('shop/a', service('a', { clusterIP: '10.96.0.11' }));
  t.is(addresses.assign('shop/b', service('b', {})).service.spec.clusterIP, '10.96.0.12');
});

test('headless and ExternalName Services have no address', (t) => {
  const addresses = new ServiceAddresses();
  t.deepEqual(addresses.assign('shop/a', service('a', { clusterIP: 'None' })).service.spec.clusterIPs, ['None']);
  t.is(
    addresses.assign('shop/b', service('b', { type: 'ExternalName', externalName: 'x.y' })).service.spec.clusterIPs,
    undefined,
  );
});

test('single-stack Services get the family they ask for', (t) => {
  const addresses = new ServiceAddresses();
  const spec = { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv6'] };
  t.deepEqual(addresses.assign('shop/a', service('a', spec)).service.spec.clusterIPs, ['fd00:10:96::b']);
});
