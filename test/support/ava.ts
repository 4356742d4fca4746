/**
 * Runs AVA for one stage of `make test`: `node test/support/ava.ts STAGE [--quiet] [AVA ARGUMENTS]`.
 * `--quiet` shows what failed and what was not run, not each test that passed. With AQUIFER_TEST_REPORT=FILE the tally is
 * added to that file as a line of JSON; with AQUIFER_NO_SKIPS=1 a test that is not run fails the stage.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { AvaOutput } from './ava-output.ts';

const [stage = 'tests', ...rest] = process.argv.slice(2);
const quiet = rest.includes('--quiet');
const avaArguments = rest.filter((argument) => argument !== '--quiet');
const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined;

const child = spawn('ava', avaArguments, {
  stdio: ['inherit', 'pipe', 'inherit'],
  env: { ...process.env, ...(colour ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }) },
});
const exited = once(child, 'close');
// Ctrl-C reaches AVA by itself, as a member of the terminal's process group; it lists what was pending.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));

const output = new AvaOutput();
let blank = true;
for await (const line of createInterface({ input: child.stdout })) {
  const kind = output.line(line);
  if (quiet && (kind === 'passed' || (line.trim() === '' && blank))) continue;
  blank = line.trim() === '';
  process.stdout.write(`${line}\n`);
}
const [code] = (await exited) as [number | null];

const strict = process.env.AQUIFER_NO_SKIPS === '1';
const tally = output.tally(code ?? 1);
if (tally.notRun.length > 0) {
  const line = '!'.repeat(78);
  process.stdout.write(`${line}\n${tally.notRun.length} TESTS OF ${stage.toUpperCase()} WERE NOT RUN:\n`);
  for (const title of tally.notRun) process.stdout.write(`  ${title}\n`);
  process.stdout.write(`${line}\n`);
}
if (strict) tally.failed += tally.notRun.length;
process.stdout.write(`  ${stage}: ${tally.passed} passed, ${tally.failed} failed, ${tally.notRun.length} not run\n`);

const report = process.env.AQUIFER_TEST_REPORT;
if (report !== undefined) appendFileSync(report, `${JSON.stringify({ stage, ...tally })}\n`);
process.exitCode = tally.failed > 0 ? 1 : 0;
