import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { checkOtherPrograms } from '../../agent/redirect/selftest/host.ts';
import { Report, type ReportLine } from '../../agent/redirect/selftest/report.ts';
import { loadNative, type Native } from '../../native/index.ts';
import { bpffs, cgroupRoot } from '../support/netns.ts';

const SELFTEST = fileURLToPath(new URL('../../agent/selftest.ts', import.meta.url));
const NODE = [process.execPath, SELFTEST];

function run(command: readonly string[]): { status: number | null; lines: ReportLine[]; stdout: string } {
  const [file = '', ...args] = command;
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  const lines = stdout.startsWith('{') ? (JSON.parse(stdout) as { lines: ReportLine[] }).lines : [];
  return { status, lines, stdout };
}

const failedOf = (lines: readonly ReportLine[]): ReportLine[] => lines.filter(({ outcome }) => outcome === 'failed');

function leftovers(): string[] {
  const pins = join(bpffs(), 'aquifer');
  const names = [...readdirSync(cgroupRoot()), ...(existsSync(pins) ? readdirSync(pins) : [])];
  // Somebody else's may be running.
  return names.filter((name) => {
    const pid = /selftest-(\d+)$/.exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
}

test.serial('this machine passes, in JSON and in text, and nothing is left behind', (t) => {
  bpffs();
  const { status, lines } = run([...NODE, '-o', 'json']);
  t.deepEqual(failedOf(lines), []);
  t.is(status, 0);
  t.true(lines.some(({ name }) => name.startsWith('sk_lookup')));
  const text = run(NODE);
  t.regex(text.stdout, /ok {4}connect marks, rules route and steer captures \(IPv6\)/);
  t.regex(text.stdout, /this machine can run an agent\n$/);
  t.deepEqual(leftovers(), []);
});

test.serial('without privileges each missing one is named with its fix', (t) => {
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--bounding-set=-all'];
  const { status, lines } = run([...nobody, ...NODE, '-o', 'json']);
  t.is(status, 1);
  const failed = failedOf(lines);
  for (const name of ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN', 'CAP_PERFMON', 'CAP_BPF']) {
    const line = failed.find((each) => each.name === name);
    t.regex(line?.detail ?? '', /missing; needed for/);
    t.regex(line?.fix ?? '', /run as root, or grant/);
  }
  for (const { name, fix } of failed) t.not(fix, '', name);
  t.deepEqual(leftovers(), []);
});

test.serial('without CAP_NET_ADMIN alone the report says so, and cleans up', (t) => {
  const { status, lines } = run(['setpriv', '--bounding-set=-net_admin', ...NODE, '-o', 'json']);
  t.is(status, 1);
  t.true(failedOf(lines).some(({ name }) => name === 'CAP_NET_ADMIN'));
  t.deepEqual(leftovers(), []);
});

test.serial('without a bpffs the report tells how to mount one', (t) => {
  const unmount = 'umount -l /sys/fs/bpf; exec "$@"';
  const { status, lines } = run(['unshare', '-m', 'sh', '-c', unmount, 'sh', ...NODE, '-o', 'json']);
  t.is(status, 1);
  t.deepEqual(failedOf(lines), [
    {
      name: 'bpffs',
      outcome: 'failed',
      detail: '/sys/fs/bpf is not a BPF file system',
      fix: 'mount -t bpf bpf /sys/fs/bpf',
    },
  ]);
});

test.serial('what a killed self-test left is swept by the next one', (t) => {
  const left = join(cgroupRoot(), 'aquifer-selftest-4999999');
  mkdirSync(join(left, 'agent'), { recursive: true });
  t.is(run([...NODE, '-o', 'json']).status, 0);
  t.false(existsSync(left));
});

test.serial('bad arguments are refused with the usage', (t) => {
  const { status, stderr } = spawnSync(process.execPath, [SELFTEST, '-o', 'xml'], { encoding: 'utf8' });
  t.is(status, 2);
  t.regex(stderr, /expected text or json/);
});

test('another connect program is named with its id and what it means', (t) => {
  const program = (id: number, name: string) => ({ id, name, type: 18, tag: '' });
  const native: Native = {
    ...loadNative(),
    queryCgroup: (_path, attach) =>
      attach === 'connect4'
        ? [program(7, 'cil_sock4_connect'), program(8, 'aq_connect4'), program(9, 'lb_later')]
        : [program(10, 'aq_connect6')],
  };
  const report = new Report();
  checkOtherPrograms(report, native, '/cgroup');
  t.true(report.passed);
  const [before, after] = report.lines;
  t.is(before?.name, 'another connect4 program at /cgroup: cil_sock4_connect (id 7)');
  t.regex(before?.detail ?? '', /before ours: .*policy sees the endpoint only/);
  t.regex(before?.fix ?? '', /hostNamespaceOnly/);
  t.is(after?.name, 'another connect4 program at /cgroup: lb_later (id 9)');
  t.regex(after?.detail ?? '', /still learns the asked one/);
});
