/** `make bench`: see USAGE. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Bench, PEER_NAMES } from './bench.ts';
import type { SuiteResult } from './figures.ts';
import { compile, LOAD_CPU, PROXY_CPU } from './load.ts';
import { PeerUnavailable } from './peers/peer.ts';
import { renderSuite, suiteJson } from './report.ts';
import type { Suite } from './suite.ts';
import { BULK } from './suites/bulk.ts';
import { CONNECTIONS } from './suites/connections.ts';
import { ENROLMENT } from './suites/enrolment.ts';
import { IDLE_MEMORY } from './suites/idle-memory.ts';
import { PODS_MEMORY } from './suites/pods-memory.ts';
import { POLICY_CHANGE } from './suites/policy-change.ts';
import { REQUEST_RESPONSE } from './suites/request-response.ts';
import { UN_ENROLLED } from './suites/un-enrolled.ts';
import { machine } from './usage.ts';

// Memory first: a process keeps what any other suite made it take.
const SUITES: readonly Suite[] = [
  IDLE_MEMORY,
  PODS_MEMORY,
  REQUEST_RESPONSE,
  BULK,
  CONNECTIONS,
  POLICY_CHANGE,
  ENROLMENT,
  UN_ENROLLED,
];

const USAGE = `Usage: make bench [NAME=SUITE] [ARGS="OPTIONS"]   or   node test/bench/main.ts [SUITE …] [OPTIONS]

Peers are measured in turn, round by round, in the same run; figures are medians, ± is half the range of the rounds.
Load and server share CPU ${LOAD_CPU}, the proxy has CPU ${PROXY_CPU} to itself.

Suites:
${SUITES.map(({ name, title }) => `  ${name.padEnd(18)}${title}`).join('\n')}

Options:
  --rounds N       rounds that count, after one to warm up (default 5)
  --seconds S      of each measurement (default 5)
  --scale F        share of connections and bytes, to try things out (default 1)
  --peers A,B      only these of ${PEER_NAMES.join(', ')}
  --out FILE       where the JSON goes (default test/bench/results/<time>.json)
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    peers: { type: 'string' },
    out: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});

function chosen(): Suite[] {
  const unknown = positionals.find((name) => !SUITES.some((suite) => suite.name === name));
  if (unknown !== undefined)
    throw new Error(`no suite "${unknown}"; there are ${SUITES.map(({ name }) => name).join(', ')}`);
  return SUITES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
}

/** A suite that needs what cannot be had here says so; the others go on. */
async function measure(suite: Suite, bench: Bench): Promise<SuiteResult> {
  try {
    return await suite.run(bench);
  } catch (error) {
    if (error instanceof PeerUnavailable) return { rows: [], notes: [error.message] };
    throw error;
  }
}

async function main(): Promise<void> {
  const suites = chosen();
  if (process.getuid?.() !== 0) throw new Error('the benchmarks make network namespaces: run them as root');
  await compile();
  const { rounds, seconds, scale } = { rounds: +values.rounds, seconds: +values.seconds, scale: +values.scale };
  const bench = new Bench({ rounds, seconds, scale, peers: values.peers?.split(',') ?? null });
  process.once('SIGINT', () => void bench.close().finally(() => process.exit(130)));
  process.once('SIGTERM', () => void bench.close().finally(() => process.exit(143)));
  const started = new Date().toISOString();
  const results: object[] = [];
  const description = machine();
  const words = `${description.cpu}, ${description.cpus} CPUs, ${description.memoryGiB} GiB, Linux ${description.kernel}`;
  process.stdout.write(`${words}; ${rounds} rounds of ${seconds} s\n\n`);
  try {
    for (const suite of suites) {
      const result = await measure(suite, bench);
      results.push(suiteJson(suite, result));
      process.stdout.write(`${renderSuite(suite, result)}\n`);
    }
  } finally {
    await bench.close();
  }
  const out = values.out ?? join(import.meta.dirname, 'results', `${started.replaceAll(':', '-')}.json`);
  mkdirSync(dirname(out), { recursive: true });
  const document = { started, machine: description, rounds, seconds, scale, suites: results };
  writeFileSync(out, `${JSON.stringify(document, null, 2)}\n`);
  process.stdout.write(`the same as JSON: ${out}\n`);
}

if (values.help) process.stdout.write(USAGE);
else await main();
