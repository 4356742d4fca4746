import test from 'ava';
import { native } from './support/bpf.ts';

const CGROUP_SKB = 8;
const SOCK_OPS = 13;
const CGROUP_SOCK_ADDR = 18;
const SK_LOOKUP = 30;
const SK_ASSIGN = 124;
const SETSOCKOPT = 49;
const MAP_LOOKUP = 1;

test('program types of the datapath are supported', (t) => {
  for (const type of [CGROUP_SKB, SOCK_OPS, CGROUP_SOCK_ADDR, SK_LOOKUP]) t.is(native.probeProgramType(type), true);
});

test('map types of the datapath are supported', (t) => {
  for (const type of [1, 2, 6, 9, 15, 18, 24, 27]) t.is(native.probeMapType(type), true);
});

test('an unknown type gives the error of the kernel, as a value', (t) => {
  for (const answer of [native.probeProgramType(4000), native.probeMapType(4000)]) {
    t.true(answer instanceof Error);
    t.like(answer, { code: 'EINVAL', errno: 22 });
  }
  t.throws(() => native.probeMapType(-1), { instanceOf: TypeError });
  t.throws(() => native.probeProgramType('x' as never), { instanceOf: TypeError });
});

test('helpers are judged for the program type', (t) => {
  t.is(native.probeHelper(SK_LOOKUP, SK_ASSIGN), true);
  t.is(native.probeHelper(CGROUP_SOCK_ADDR, SETSOCKOPT), true);
  t.is(native.probeHelper(SK_LOOKUP, MAP_LOOKUP), true);
  for (const answer of [
    native.probeHelper(CGROUP_SKB, SK_ASSIGN),
    native.probeHelper(SK_LOOKUP, SETSOCKOPT),
    native.probeHelper(SK_LOOKUP, 100000),
    native.probeHelper(4000, MAP_LOOKUP),
  ]) {
    t.true(answer instanceof Error);
  }
});
