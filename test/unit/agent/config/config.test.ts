import test from 'ava';
import { parseConfig } from '../../../../agent/config/load.ts';
import { nearest } from '../../../../agent/config/nearest.ts';

const MINIMAL = {
  node: 'node-1',
  instance: 'lab-node-1',
  podSource: { directory: '/run/pods' },
  controller: { address: '172.30.0.2:15012', caFile: '/ca.pem', tokenFile: '/token' },
  stateDir: '/run/agent',
  agentCgroup: '/sys/fs/cgroup/agent',
  nodeCgroup: '/sys/fs/cgroup/kubelet',
  admin: { socket: '/run/agent.sock' },
};
const parse = (value: unknown) => parseConfig(JSON.stringify(value), 'agent.json');

test('a minimal configuration gets its defaults and is frozen throughout', (t) => {
  const config = parse(MINIMAL);
  t.is(config.limits.holdTimeMs, 5_000);
  t.is(config.metrics.port, 15_020);
  t.is(config.readiness.port, 15_021);
  t.is(config.admin.port, 15_000);
  t.true(Object.isFrozen(config));
  t.true(Object.isFrozen(config.limits));
});

test('an unknown field fails and names the nearest', (t) => {
  const error = t.throws(() => parse({ ...MINIMAL, limits: { holdTimeMS: 1, conectTimeoutMs: 2 }, node_name: 'x' }), {
    code: 'MESH_CONFIG_INVALID',
  });
  t.is(
    error?.message,
    [
      'agent.json: limits.holdTimeMS: unknown field; did you mean holdTimeMs?',
      'agent.json: limits.conectTimeoutMs: unknown field; did you mean connectTimeoutMs?',
      'agent.json: node_name: unknown field',
    ].join('\n'),
  );
});

test('each fault names its field and what is wrong', (t) => {
  const error = t.throws(() =>
    parse({ ...MINIMAL, controller: { ...MINIMAL.controller, address: 'nowhere' }, limits: { connectAttempts: 0 } }),
  );
  t.regex(error?.message ?? '', /controller\.address: expected address:port/);
  t.regex(error?.message ?? '', /limits\.connectAttempts: /);
});

test('what is not JSON, or not there, says so', (t) => {
  t.throws(() => parseConfig('{', 'agent.json'), { code: 'MESH_CONFIG_INVALID', message: /agent\.json: not JSON/ });
});

test('nearest guesses only what is near', (t) => {
  t.is(nearest('nodes', ['node', 'instance']), 'node');
  t.is(nearest('zzz', ['node', 'instance']), null);
});
