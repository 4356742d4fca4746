import test from 'ava';
import { availableCapabilities, capabilitiesOf, setprivOptions } from '../../../deploy/lab/node/capabilities.ts';
import { commandOf, environmentOf, expand } from '../../../deploy/lab/node/env.ts';
import { AddressPool } from '../../../deploy/lab/node/ipam.ts';
import { portNumber, unsupportedProbe } from '../../../deploy/lab/node/probes.ts';
import { pod } from './objects.ts';

const ALL = availableCapabilities('CapBnd:\t000001ffffffffff\n');

test('a container has the default capabilities of a runtime', (t) => {
  const names = capabilitiesOf(undefined, ALL);
  t.is(names.length, 14);
  t.true(names.includes('NET_RAW'));
  t.false(names.includes('NET_ADMIN'));
});

test('add and drop change the default, ALL included', (t) => {
  t.deepEqual(capabilitiesOf({ capabilities: { drop: ['ALL'], add: ['CAP_NET_BIND_SERVICE'] } }, ALL), [
    'NET_BIND_SERVICE',
  ]);
  t.true(capabilitiesOf({ capabilities: { add: ['NET_ADMIN'] } }, ALL).includes('NET_ADMIN'));
  t.deepEqual(capabilitiesOf({ privileged: true }, ALL), ALL);
});

test('what the host cannot give is not asked for', (t) => {
  const poor = availableCapabilities('CapBnd:\t0000000000000001\n');
  t.deepEqual(poor, ['CHOWN']);
  t.deepEqual(capabilitiesOf(undefined, poor), ['CHOWN']);
});

test('setpriv drops everything else and changes the user', (t) => {
  const privileges = { capabilities: ['CHOWN'], uid: 1000, gid: 1000, noNewPrivileges: true, privileged: false };
  t.deepEqual(setprivOptions(privileges), [
    '--bounding-set=-all,+chown',
    '--inh-caps=-all',
    '--reuid=1000',
    '--regid=1000',
    '--clear-groups',
    '--no-new-privs',
  ]);
});

test('variables refer to earlier ones and to fields of the pod', (t) => {
  const facts = { podIps: ['10.244.1.2', 'fd00::2'], hostIp: '172.30.0.11' };
  const env = environmentOf(
    {
      name: 'main',
      env: [
        { name: 'HOST', value: 'db' },
        { name: 'URL', value: 'tcp://$(HOST):$(NOPE)$$(HOST)' },
        { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
        { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      ],
    },
    pod('web'),
    facts,
  );
  t.like(env, { URL: 'tcp://db:$(NOPE)$(HOST)', IP: '10.244.1.2', NAME: 'web' });
  t.throws(() => environmentOf({ name: 'm', env: [{ name: 'X', valueFrom: {} }] }, pod('web'), facts), {
    message: /fieldRef/,
  });
});

test('expand leaves unknown names alone', (t) => {
  t.is(expand('$(A)-$(B)', { A: '1' }), '1-$(B)');
});

test('a command comes from the manifest, or from the image', (t) => {
  const images = new Map([['aquifer/echo', ['node', 'echo.ts']]]);
  t.deepEqual(commandOf({ name: 'm', command: ['a', '$(X)'], args: ['b'] }, images, { X: 'x' }), ['a', 'x', 'b']);
  t.deepEqual(commandOf({ name: 'm', image: 'aquifer/echo:v1', args: ['b'] }, images, {}), ['node', 'echo.ts', 'b']);
  const unknown = commandOf({ name: 'm', image: 'registry.example/nope:1.2' }, images, {});
  t.regex('fault' in unknown ? unknown.fault : '', /--image registry\.example\/nope=COMMAND/);
});

test('the address pool gives the lowest free address and says when none is left', (t) => {
  const pool = new AddressPool(1, 2);
  t.deepEqual(pool.take('a'), ['10.244.1.2', 'fd00:10:244:1::2']);
  t.deepEqual(pool.take('b'), ['10.244.1.3', 'fd00:10:244:1::3']);
  t.is(pool.take('c'), null);
  t.deepEqual(pool.take('a'), ['10.244.1.2', 'fd00:10:244:1::2']);
  pool.release('a');
  t.deepEqual(pool.take('c'), ['10.244.1.2', 'fd00:10:244:1::2']);
});

test('probe ports may be named, and grpc probes are refused by name', (t) => {
  const container = { name: 'm', ports: [{ name: 'http', containerPort: 8080 }] };
  t.is(portNumber('http', container), 8080);
  t.throws(() => portNumber('nope', container), { message: /no port named "nope"/ });
  t.regex(unsupportedProbe({ ...container, livenessProbe: { grpc: { port: 1 } } }) ?? '', /livenessProbe: grpc/);
});
