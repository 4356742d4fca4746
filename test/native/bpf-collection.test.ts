import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { compile, exists, failure, load, native, objectFile, options, u32 } from './support/bpf.ts';

test('a collection names its maps and programs', (t) => {
  const collection = load(t, 'basic');
  t.deepEqual([...collection.programNames].sort(), [
    'connect4',
    'connect6',
    'count_sockets',
    'egress',
    'ingress',
    'lookup',
  ]);
  for (const name of ['pods', 'verdicts', 'listeners', 'events', 'test.rodata'])
    t.true(collection.mapNames.includes(name));
  t.is(collection.program('lookup').info.name, 'lookup');
  t.is(collection.program('lookup').info.type, 30);
  t.regex(collection.program('lookup').info.tag, /^[0-9a-f]{16}$/);
  t.like(collection.map('pods').info, { name: 'pods', type: 1, keySize: 4, valueSize: 24, maxEntries: 4 });
});

test('a name that the collection does not have is ENOENT', (t) => {
  const collection = load(t, 'basic');
  t.like(
    failure(() => collection.map('none')),
    { code: 'ENOENT', errno: 2 },
  );
  t.like(
    failure(() => collection.program('none')),
    { code: 'ENOENT', errno: 2 },
  );
  t.throws(() => collection.map(1 as unknown as string), { instanceOf: TypeError });
});

test('programs limits what is loaded', (t) => {
  const collection = load(t, 'basic', { programs: ['lookup'] });
  t.deepEqual(collection.programNames, ['lookup']);
  t.is(failure(() => collection.program('egress')).code, 'ENOENT');
  t.is(failure(() => load(t, 'basic', { programs: ['none'] })).code, 'ENOENT');
  t.deepEqual(load(t, 'basic', { programs: [] }).programNames, []);
});

test('constants are written before load', (t) => {
  const collection = load(t, 'basic', { constants: { refused_port: new Uint8Array([0x34, 0x12]), records: u32(9) } });
  const [entry] = collection.map('test.rodata').entries();
  t.truthy(entry);
  const words = entry?.[1] ?? new Uint8Array();
  const layout = [...words];
  t.true(layout.includes(0x34) && layout.includes(0x12) && layout.includes(9));
});

test('a constant that does not fit is refused', (t) => {
  t.like(
    failure(() => load(t, 'basic', { constants: { none: u32(1) } })),
    { code: 'ENOENT' },
  );
  const wrong = failure(() => load(t, 'basic', { constants: { refused_port: u32(1) } }));
  t.is(wrong.code, 'EINVAL');
  t.regex(wrong.message, /refused_port \(4 bytes for 2\)/);
});

test('maxEntries replaces the figure of the object', (t) => {
  const collection = load(t, 'basic', { maxEntries: { pods: 33 } });
  t.is(collection.map('pods').info.maxEntries, 33);
  t.is(failure(() => load(t, 'basic', { maxEntries: { none: 1 } })).code, 'ENOENT');
  t.throws(() => load(t, 'basic', { maxEntries: { pods: 0 } }), { instanceOf: TypeError });
});

test('reuseMaps shares a map between collections', (t) => {
  const first = load(t, 'basic');
  const pods = first.map('pods');
  const second = load(t, 'basic', { reuseMaps: { pods } });
  t.is(second.map('pods').info.id, pods.info.id);
  pods.update(u32(1), new Uint8Array(24).fill(3), 'any');
  t.deepEqual(second.map('pods').lookup(u32(1)), new Uint8Array(24).fill(3));
});

test('a reused map that differs is EINVAL and says in what', (t) => {
  const first = load(t, 'basic', { maxEntries: { pods: 8 } });
  const size = failure(() => load(t, 'basic', { reuseMaps: { pods: first.map('pods') } }));
  t.is(size.code, 'EINVAL');
  t.regex(size.message, /test\/pods \(max_entries 8 instead of 4\)/);
  t.regex(
    failure(() => load(t, 'basic', { reuseMaps: { pods: first.map('many') } })).message,
    /value size 8 instead of 24/,
  );
  t.regex(failure(() => load(t, 'basic', { reuseMaps: { pods: first.map('queue') } })).message, /type 22 instead of 1/);
  t.is(failure(() => load(t, 'basic', { reuseMaps: { none: first.map('pods') } })).code, 'ENOENT');
  t.notThrows(() => load(t, 'basic', { reuseMaps: { pods: first.map('pods') }, maxEntries: { pods: 8 } }));
});

test('a refused program gives the last lines of the verifier', (t) => {
  const error = failure(() => load(t, 'refused', { name: 'guard' }));
  t.like(error, { code: 'EACCES', errno: 13, syscall: 'bpf(BPF_PROG_LOAD)' });
  t.regex(error.message, /^bpf\(BPF_PROG_LOAD\) guard\/bad: EACCES: permission denied$/);
  t.regex(error.verifierLog ?? '', /invalid mem access 'map_value_or_null'/);
  t.notThrows(() => load(t, 'refused', { programs: ['fine'] }));
});

test('without privilege the error is EPERM of the system call', (t) => {
  const drop = ['--inh-caps=-all', '--bounding-set=-all', '--ambient-caps=-all'];
  const script = join(import.meta.dirname, 'support', 'handle-script.ts');
  const scene = [process.execPath, script, 'load', objectFile(t, 'basic')];
  const { stdout } = spawnSync('setpriv', [...drop, ...scene], { encoding: 'utf8' });
  t.is(stdout, 'EPERM bpf(BPF_PROG_LOAD) scene: EPERM: operation not permitted\n');
});

test('a map that cannot be made is named', (t) => {
  const error = failure(() => load(t, 'basic', { maxEntries: { pods: 0xffffffff } }));
  t.is(error.syscall, 'bpf(BPF_MAP_CREATE)');
  t.regex(error.message, /test\/pods: E2BIG/);
  t.is(error.verifierLog, undefined);
});

test('what is not an object is refused with a reason', (t) => {
  const error = failure(() => native.loadCollection(new Uint8Array(100), options()));
  t.is(error.syscall, 'bpf_object__open_mem');
  t.true(error.errno > 0);
  const elf = compile('basic');
  for (const length of [0, 10, 64, 1000, elf.length - 500]) {
    t.true(failure(() => native.loadCollection(elf.slice(0, length), options())) instanceof Error);
  }
});

test('arguments are checked', (t) => {
  const bad = (value: unknown) =>
    t.throws(() => native.loadCollection(compile('basic'), value as never), { instanceOf: TypeError });
  bad(undefined);
  bad({});
  bad(options({ name: 'sixteen-letters!' }));
  bad(options({ constants: { records: [1] as unknown as Uint8Array } }));
  bad(options({ reuseMaps: { pods: {} as never } }));
  bad(options({ programs: 'lookup' as unknown as string[] }));
  t.throws(() => native.loadCollection('elf' as never, options()), { instanceOf: TypeError });
});

test('structLayout and enumValues come from the object', (t) => {
  const collection = load(t, 'basic', { programs: [] });
  t.deepEqual(collection.structLayout('record'), {
    size: 24,
    members: [
      { name: 'serial', offset: 0, size: 8 },
      { name: 'port', offset: 8, size: 4 },
      { name: 'half', offset: 12, size: 2 },
      { name: 'bytes', offset: 14, size: 3 },
    ],
  });
  t.is(collection.structLayout('none'), null);
  t.deepEqual(collection.enumValues('colour'), { RED: 0, GREEN: 5 });
  t.is(collection.enumValues('none'), null);
});

test('parts outlive their collection, the rest goes with it', (t) => {
  const collection = load(t, 'basic');
  const pods = collection.map('pods');
  const lookup = collection.program('lookup');
  const egress = collection.program('egress').info.id;
  collection.program('egress').close();
  t.true(exists('prog', lookup.info.id));
  collection.close();
  t.is(pods.lookup(u32(1)), null);
  t.is(lookup.info.name, 'lookup');
  t.is(typeof egress, 'number');
  pods.close();
  lookup.close();
});

test('a small sk_lookup object loads within 5 ms', (t) => {
  const shared = load(t, 'basic', { programs: [] });
  const reuseMaps = Object.fromEntries(
    shared.mapNames.filter((name) => name !== 'test.rodata').map((name) => [name, shared.map(name)]),
  );
  const times: number[] = [];
  for (let round = 0; round < 30; round++) {
    const start = performance.now();
    const collection = native.loadCollection(compile('basic'), options({ programs: ['lookup'], reuseMaps }));
    times.push(performance.now() - start);
    collection.close();
  }
  times.sort((a, b) => a - b);
  t.log(`median ${times[15]?.toFixed(2)} ms, worst ${times[29]?.toFixed(2)} ms`);
  t.true((times[15] ?? 99) < 5);
});
