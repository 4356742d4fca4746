/** Real BPF objects, scratch cgroups and a bpffs directory for the tests of the addon. Root only. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BpfCollection, type CollectionOptions, loadNative, type NativeError } from '../../../native/index.ts';

export const native = loadNative();

/** What a test undoes at its end, also when it failed: AVA's `t.teardown`. */
export interface Scope {
  teardown(undo: () => void): void;
}

const include = `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const compiled = new Map<string, Uint8Array>();

/** `fixtures/<name>.bpf.c` as the build would make it; once for each test process. */
export function compile(name: string): Uint8Array {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const directory = mkdtempSync(join(tmpdir(), 'aq-native-'));
  try {
    const source = join(import.meta.dirname, '..', 'fixtures', `${name}.bpf.c`);
    const object = join(directory, 'raw.o');
    const linked = join(directory, 'linked.o');
    const flags = ['-g', '-O2', '-mcpu=v3', '-target', 'bpf', '-Wall', '-Werror', '-idirafter', include];
    execFileSync('clang', [...flags, '-c', source, '-o', object]);
    execFileSync('bpftool', ['gen', 'object', linked, object]);
    const elf = new Uint8Array(readFileSync(linked));
    compiled.set(name, elf);
    return elf;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export function options(changes: Partial<CollectionOptions> = {}): CollectionOptions {
  return { name: 'test', constants: {}, reuseMaps: {}, maxEntries: {}, programs: null, ...changes };
}

/** Loads a fixture and closes it at the end of the test. */
export function load(t: Scope, name: string, changes: Partial<CollectionOptions> = {}): BpfCollection {
  const collection = native.loadCollection(compile(name), options(changes));
  t.teardown(() => collection.close());
  return collection;
}

/** What `run` throws, as the surface promises it. */
export function failure(run: () => unknown): NativeError {
  try {
    run();
  } catch (error) {
    return error as NativeError;
  }
  throw new Error('did not throw');
}

let serial = 0;
const unique = (): string => `aq-native-${process.pid}-${serial++}`;

function cgroupRoot(): string {
  const mount = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find((fields) => fields[2] === 'cgroup2');
  if (mount?.[1] === undefined) throw new Error('no cgroup v2 hierarchy is mounted');
  return mount[1];
}

/** A cgroup v2 directory that goes at the end of the test. */
export function scratchCgroup(t: Scope, parent = cgroupRoot()): string {
  const path = join(parent, unique());
  mkdirSync(path);
  t.teardown(() => rmdirSync(path));
  return path;
}

/** A bpffs directory that goes, with the pins in it, at the end of the test. Mounts /sys/fs/bpf when it is not. */
export function scratchPins(t: Scope): string {
  if (!readFileSync('/proc/self/mounts', 'utf8').includes(' /sys/fs/bpf bpf ')) {
    execFileSync('mount', ['-t', 'bpf', 'bpf', '/sys/fs/bpf']);
  }
  const path = join('/sys/fs/bpf', unique());
  mkdirSync(path);
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

/** Connects from a process inside `cgroup` to 127.0.0.1; the shell's message, empty when it worked. */
export function connectFrom(cgroup: string, port: number): string {
  const script = `echo $$ > ${cgroup}/cgroup.procs && exec 3<>/dev/tcp/127.0.0.1/${port}`;
  return spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stderr;
}

/** Is there a program (`prog`), map or link with this id? */
export function exists(kind: 'prog' | 'map' | 'link', id: number): boolean {
  return spawnSync('bpftool', [kind, 'show', 'id', String(id)]).status === 0;
}

/** A file with the compiled fixture, for code that runs in another process or thread. */
export function objectFile(t: Scope, name: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'aq-native-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, `${name}.o`);
  writeFileSync(path, compile(name));
  return path;
}

export function u32(...values: number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(values).buffer);
}

export function u64(value: number): Uint8Array {
  return new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);
}

export function toU32(bytes: Uint8Array, offset = 0): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true);
}
