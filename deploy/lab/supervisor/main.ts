/** The lab's own process: makes the network, starts and keeps controller, agents and nodes, and runs the cluster. */
import { rmSync } from 'node:fs';
import { codeOf, LabError, messageOf } from '../errors.ts';
import { LabPaths } from '../names.ts';
import { allNodes, readRecord } from '../record.ts';
import { boot } from './boot.ts';
import { Lab } from './lab.ts';
import { Progress } from './progress.ts';
import { serve } from './server.ts';

const paths = new LabPaths(process.argv[2] ?? '');
const record = readRecord(paths);
if (record === null) {
  process.stderr.write(`${paths.record}: there is no such lab; start one with: aquifer lab up\n`);
  process.exit(2);
}
const log = (text: string): void => {
  process.stdout.write(`${new Date().toISOString()} ${text}\n`);
};
// A lab outlives the terminal that started it, and a bug in one request must not end it.
process.on('SIGHUP', () => {});
process.on('unhandledRejection', (error) => log(`unhandled: ${error instanceof Error ? error.stack : String(error)}`));

const progress = new Progress();
const lab = new Lab({ paths, record, nodes: allNodes(record.options), log });
rmSync(paths.socket, { force: true });
await serve(paths.socket, lab, progress);
log('the lab comes up');
try {
  await boot(lab, progress);
} catch (error) {
  log(`the lab does not come up: ${messageOf(error)} ${codeOf(error)}`);
  progress.tell({ state: 'failed', error: messageOf(error), hint: error instanceof LabError ? error.hint : null });
}
