import test from 'ava';
import { LabPaths, labNameFault, nodeAddresses, podAddresses, vethName } from '../../../deploy/lab/names.ts';
import { nearest } from '../../../deploy/lab/targets.ts';

test('lab names cannot be prefixes of one another’s kernel names', (t) => {
  t.is(labNameFault('lab2'), null);
  for (const name of ['', 'a-b', 'A', '../x', 'a'.repeat(21)]) t.not(labNameFault(name), null);
});

test('names of namespaces and links fit the kernel', (t) => {
  const paths = new LabPaths('lab');
  t.is(paths.podNetns('shop', 'web'), 'aq-lab-shop-web');
  const long = paths.podNetns('n'.repeat(63), 'p'.repeat(253));
  t.true(long.length <= 100);
  t.not(long, paths.podNetns('n'.repeat(63), 'p'.repeat(252)));
  t.true(vethName('3f0c5d1e-aaaa-bbbb-cccc-1234567890ab').length <= 15);
});

test('addresses of nodes and pods follow from their numbers', (t) => {
  t.like(nodeAddresses(2), {
    name: 'node-2',
    v4: '172.30.0.12',
    podCidr4: '10.244.2.0/24',
    podCidr6: 'fd00:10:244:2::/64',
  });
  t.deepEqual(podAddresses(2, 8), ['10.244.2.10', 'fd00:10:244:2::a']);
  t.deepEqual(podAddresses(0, 0), ['192.0.2.2', '2001:db8::2']);
});

test('a mistyped pod is answered with near ones', (t) => {
  t.deepEqual(nearest('shop/wbe', ['shop/web', 'shop/cart', 'legacy/billing']), ['shop/web']);
});
