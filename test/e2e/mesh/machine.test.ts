/** Machines that lack something: what is missing is named with its remedy, and nothing is left half done. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Ran, run } from '../../support/lab.ts';
import { leftoversOf, nothingLeft } from '../../support/leftovers.ts';

const ROOT = join(import.meta.dirname, '../../..');
const CLI = [process.execPath, join(ROOT, 'controller/cli/main.ts')];
const SELFTEST = [process.execPath, join(ROOT, 'agent/selftest.ts')];
const AGENT = [process.execPath, join(ROOT, 'agent/main.ts')];
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

/** In a mount namespace of its own, after `prepare`, without the capabilities named. */
function onMachine(prepare: string, command: readonly string[], without: readonly string[] = []): Promise<Ran> {
  const drop = without.length === 0 ? [] : ['setpriv', `--bounding-set=${without.map((name) => `-${name}`).join(',')}`];
  return run('unshare', ['--mount', 'sh', '-euc', `${prepare}\nexec "$@"`, 'sh', ...drop, ...command]);
}

const UNMOUNT_BPFFS = 'umount -l /sys/fs/bpf 2>/dev/null || :';
const UNMOUNT_CGROUPS = 'awk \'$3 == "cgroup2" {print $2}\' /proc/self/mounts | tac | xargs -r -n 1 umount -l';

function up(name: string): string[] {
  return [...CLI, 'lab', 'up', '--detach', '--name', name, '--no-agent', '--nodes', '1'];
}

function refused(t: ExecutionContext, ran: Ran, name: string, ...says: RegExp[]): void {
  t.is(ran.code, 1, ran.stdout + ran.stderr);
  for (const pattern of says) t.regex(ran.stdout + ran.stderr, pattern);
  t.notRegex(ran.stdout + ran.stderr, /\n\s+at /, 'no stack trace');
  t.deepEqual(leftoversOf(name), nothingLeft());
}

test.serial('lab up without root says so, and what to do', async (t) => {
  const name = `noroot${process.pid}`;
  const ran = await run(NOBODY[0] ?? '', [...NOBODY.slice(1), ...up(name)]);
  refused(t, ran, name, /needs root/, /sudo/);
});

test.serial('lab up without CAP_SYS_ADMIN names what this machine does not give', async (t) => {
  const name = `nocap${process.pid}`;
  const ran = await run('setpriv', ['--bounding-set=-sys_admin', ...up(name)]);
  refused(t, ran, name, /network namespaces/, /not permitted/i);
});

test.serial('lab up with a tool missing names its package', async (t) => {
  const name = `notool${process.pid}`;
  const hide =
    'for nft in /usr/sbin/nft /sbin/nft /usr/bin/nft; do if [ -e $nft ]; then found=$(readlink -f $nft); fi; done; dir=$(dirname $found); mkdir /mnt/aq-tools-$$; cp -a $dir/. /mnt/aq-tools-$$; rm /mnt/aq-tools-$$/nft; mount --bind /mnt/aq-tools-$$ $dir';
  const ran = await onMachine(`mount -t tmpfs tmpfs /mnt; ${hide}`, up(name));
  refused(t, ran, name, /missing: nft/, /apt-get install nftables/);
});

test.serial('lab up mounts a bpffs and a cgroup2 that are not there, and says why when it cannot', async (t) => {
  const name = `nobpf${process.pid}`;
  // A read-only place to mount at cannot be had: what can be taken away is the right to mount.
  for (const [unmount, says] of [
    [UNMOUNT_BPFFS, /bpf is not mounted and cannot be mounted at \/sys\/fs\/bpf/],
    [UNMOUNT_CGROUPS, /cgroup2 is not mounted and cannot be mounted at/],
  ] as const) {
    const deny =
      'mkdir /run/aq-bin; printf "#!/bin/sh\\necho mount: permission denied >&2; exit 32\\n" >/run/aq-bin/mount; chmod +x /run/aq-bin/mount; mount --bind /run/aq-bin/mount "$(readlink -f "$(command -v mount)")"';
    const ran = await onMachine(`mount -t tmpfs tmpfs /run; ${unmount}; ${deny}`, up(name));
    refused(t, ran, name, says, /permission denied/);
  }
});

for (const [what, prepare, without, line, says, fix] of [
  ['no BTF', 'mount -t tmpfs tmpfs /sys/kernel/btf', [], 'BTF', /vmlinux is missing/, /CONFIG_DEBUG_INFO_BTF/],
  ['no cgroup2', UNMOUNT_CGROUPS, [], 'cgroup v2', /no cgroup2/, /mount -t cgroup2/],
  ['no bpffs', UNMOUNT_BPFFS, [], 'bpffs', /not a BPF file system/, /mount -t bpf bpf/],
  ['no CAP_BPF', ':', ['bpf'], 'CAP_BPF', /missing; needed for/, /grant CAP_BPF/],
  ['no CAP_SYS_ADMIN', ':', ['sys_admin'], 'CAP_SYS_ADMIN', /missing; needed for/, /grant CAP_SYS_ADMIN/],
] as const) {
  test.serial(`aquifer check --node with ${what} names it and the remedy`, async (t) => {
    const ran = await onMachine(prepare, [...CLI, 'check', '--node'], without);
    t.is(ran.code, 1, ran.stdout + ran.stderr);
    const json = await onMachine(prepare, [...SELFTEST, '-o', 'json'], without);
    const { lines } = JSON.parse(json.stdout) as {
      lines: { name: string; outcome: string; detail: string; fix: string }[];
    };
    const found = lines.find(({ name }) => name === line);
    t.is(found?.outcome, 'failed');
    t.regex(found?.detail ?? '', says);
    t.regex(found?.fix ?? '', fix);
    t.regex(ran.stdout, says);
    t.regex(ran.stdout, fix);
  });
}

for (const [what, prepare, without, code, says] of [
  ['a configuration with an unknown field', ':', [], 2, /MESH_CONFIG_INVALID[\s\S]*nodee[\s\S]*node/],
  ['no bpffs', UNMOUNT_BPFFS, [], 3, /MESH_BPF_[A-Z]+: .*BPF file system[\s\S]*hint: .*mount -t bpf/],
  [
    'no CAP_BPF and no CAP_SYS_ADMIN',
    ':',
    ['bpf', 'sys_admin'],
    3,
    /MESH_BPF_LOAD: .*not permitted\nhint: .*aquifer check --node/,
  ],
] as const) {
  test.serial(`an agent that starts with ${what} ends with a code, a reason and a hint`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'aquifer-agent-'));
    t.teardown(() => {
      rmSync(directory, { recursive: true, force: true });
      // The lock and the directory of its pins, which an agent that cannot load leaves for the next one.
      rmSync(`/sys/fs/bpf/aquifer/machine${process.pid}`, { recursive: true, force: true });
    });
    const cgroup2 = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1] ?? '/sys/fs/cgroup';
    const file = join(directory, 'agent.json');
    writeFileSync(
      file,
      JSON.stringify({
        [what.startsWith('a configuration') ? 'nodee' : 'node']: 'node-1',
        instance: `machine${process.pid}`,
        podSource: { directory },
        controller: { address: '127.0.0.1:1', caFile: join(directory, 'ca.pem'), tokenFile: join(directory, 'token') },
        stateDir: join(directory, 'state'),
        cgroupRoot: cgroup2,
        agentCgroup: cgroup2,
        nodeCgroup: cgroup2,
        admin: { socket: join(directory, 'agent.sock'), port: 0 },
        metrics: { port: 0 },
        readiness: { port: 0 },
      }),
    );
    const ran = await onMachine(prepare, [...AGENT, '--config', file], without);
    t.is(ran.code, code, ran.stdout + ran.stderr);
    t.regex(ran.stderr, says);
    t.notRegex(ran.stderr, /\n\s+at /, 'no stack trace');
  });
}
