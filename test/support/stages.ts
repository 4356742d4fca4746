/**
 * Runs stages of `make test` one after the other: `node test/support/stages.ts types lint unit …`, each a make target.
 * A failed stage does not stop the later ones: one run tells all that is wrong. Ends with a table, and with the line
 * `N passed, N failed` alone; a stage without tests (types, lint) that fails counts as one failure.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AvaTally } from './ava-output.ts';

interface StageResult {
  stage: string;
  seconds: number;
  ok: boolean;
  tally: AvaTally;
}

const stages = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'aquifer-test-'));

function readTally(report: string, ok: boolean): AvaTally {
  const tally: AvaTally = { passed: 0, failed: 0, notRun: [] };
  let lines: string[] = [];
  try {
    lines = readFileSync(report, 'utf8').trim().split('\n');
  } catch {
    // A stage that runs no tests writes no report.
  }
  for (const line of lines) {
    const one = JSON.parse(line) as AvaTally;
    tally.passed += one.passed;
    tally.failed += one.failed;
    tally.notRun.push(...one.notRun);
  }
  if (!ok && tally.failed === 0) tally.failed = 1;
  return tally;
}

function run(stage: string, position: string): StageResult {
  process.stdout.write(`\n── ${position} ${stage} ${'─'.repeat(Math.max(0, 70 - stage.length - position.length))}\n`);
  const report = join(directory, `${stage}.jsonl`);
  const started = performance.now();
  const { status } = spawnSync('make', ['--no-print-directory', '-s', stage], {
    stdio: 'inherit',
    env: { ...process.env, AQUIFER_TEST_REPORT: report },
  });
  const ok = status === 0;
  return { stage, seconds: (performance.now() - started) / 1000, ok, tally: readTally(report, ok) };
}

function table(results: StageResult[]): string {
  const rows = results.map(({ stage, seconds, ok, tally }) =>
    [
      ok ? 'ok    ' : 'FAILED',
      stage.padEnd(14),
      `${seconds.toFixed(1)} s`.padStart(9),
      `${tally.passed}`.padStart(7),
      `${tally.failed}`.padStart(7),
      `${tally.notRun.length}`.padStart(7),
    ].join('  '),
  );
  return ['        stage              time   passed   failed  not run', ...rows].join('\n');
}

const results = stages.map((stage, index) => run(stage, `${index + 1}/${stages.length}`));
rmSync(directory, { recursive: true, force: true });

const total = (pick: (result: StageResult) => number) => results.reduce((sum, result) => sum + pick(result), 0);
process.stdout.write(`\n── summary ${'─'.repeat(65)}\n${table(results)}\n`);
process.stdout.write(`total time ${total((result) => result.seconds).toFixed(1)} s\n\n`);
process.stdout.write(
  `${total((result) => result.tally.passed)} passed, ${total((result) => result.tally.failed)} failed\n`,
);
process.exitCode = results.every((result) => result.ok) ? 0 : 1;
