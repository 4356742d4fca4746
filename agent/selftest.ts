/**
 * `node agent/selftest.ts [-o json]`: can this machine run an agent? Loads, attaches and exercises every hook in a scratch
 * network namespace and scratch cgroups, and takes all of it away again. Exit code 0: it can; 1: a needed thing is
 * missing; 2: the arguments are wrong. Kernel versions are never compared.
 */
import { parseArgs } from 'node:util';
import { loadNative, type Native } from '../native/index.ts';
import { exercise } from './redirect/selftest/exercise.ts';
import { checkCapabilities, checkKernel, checkMounts, checkOtherPrograms } from './redirect/selftest/host.ts';
import { Report } from './redirect/selftest/report.ts';

const BPFFS = '/sys/fs/bpf';

async function run(report: Report): Promise<void> {
  checkCapabilities(report);
  const { cgroup2, bpffs } = checkMounts(report, BPFFS);
  let native: Native;
  try {
    native = loadNative();
    report.ok('the addon');
  } catch (error) {
    report.failed('the addon', (error as Error).message.split('\n')[0] ?? '', 'make native');
    return;
  }
  checkKernel(report, native);
  if (cgroup2 === null) return;
  checkOtherPrograms(report, native, cgroup2);
  if (bpffs !== null) await exercise(report, native, cgroup2, bpffs);
}

function outputOf(): 'text' | 'json' {
  try {
    const { values } = parseArgs({ options: { output: { type: 'string', short: 'o', default: 'text' } } });
    if (values.output === 'text' || values.output === 'json') return values.output;
    throw new Error(`-o ${values.output}: expected text or json`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nusage: node agent/selftest.ts [-o json]\n`);
    process.exit(2);
  }
}

const output = outputOf();
const report = new Report();
try {
  await run(report);
} catch (error) {
  report.failed('the self-test itself', (error as Error).message, 'a bug: please report it');
}
process.stdout.write(output === 'json' ? report.toJson() : report.toText());
process.exitCode = report.passed ? 0 : 1;
