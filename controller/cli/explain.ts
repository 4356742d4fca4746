import { atMost, parseArguments } from './arguments.ts';
import type { Context, Verb } from './context.ts';
import { destinationsOf, parsePort, workloadNamed } from './endpoints.ts';
import { EXIT, usageError } from './errors.ts';
import { sourceText, verdictText } from './explain-text.ts';
import { fetchSnapshot } from './mesh-snapshot.ts';
import { findTarget } from './target.ts';
import { judgeConnection } from './verdict.ts';

const OPTIONS = {
  from: { type: 'string' },
  to: { type: 'string' },
  port: { type: 'string' },
  output: { type: 'string', short: 'o' },
} as const;

export const EXPLAIN: Verb = {
  name: 'explain',
  summary: 'tell whether one pod would reach another, and which rule decides',
  help: `Usage: aquifer explain --from NS/POD --to NS/SERVICE|NS/POD|IP [--port PORT] [-o text|json]

Judges a connection as the data path would, with the same code, from what the controller has now: where it would go,
every policy that was considered, why it matches or not, and which one decides. No packet is sent.

Options:
      --from NS/POD      the caller; a Deployment's name stands for its first pod
      --to DESTINATION   NS/SERVICE, NS/POD or an address, each with :PORT or with --port; the port can be left out
                         when a Service has only one
      --port PORT
  -o, --output FORMAT    text (default) or json
      --lab NAME         the lab to ask (default: AQUIFER_LAB, else "lab")

Exits 0 whatever the verdict is, 1 when a name is not known.

Examples:
  aquifer explain --from shop/web --to shop/db --port 5432
  aquifer explain --from shop/web --to 10.244.2.7:80`,
  run,
};

async function run(args: readonly string[], context: Context): Promise<number> {
  const parsed = parseArguments('explain', args, OPTIONS);
  if (parsed === null) {
    context.out(`${EXPLAIN.help}\n`);
    return EXIT.ok;
  }
  atMost(0, 'explain', parsed.positionals);
  const [from, to, portText] = [parsed.text('from'), parsed.text('to'), parsed.text('port')];
  if (from === null || to === null) {
    throw usageError(`explain: --${from === null ? 'from' : 'to'} is missing`, 'aquifer help explain');
  }
  const output = parsed.choice('output', ['text', 'json']);
  const port = portText === null ? null : parsePort(portText, '--port');
  const target = findTarget(parsed, context);
  // Which node does not matter yet: all get everything.
  const snapshot = await fetchSnapshot(target.controller, target.agents[0]?.node ?? '');
  const source = workloadNamed(from, '--from', snapshot);
  const judged = destinationsOf(to, port, source, snapshot).map((destination) => ({
    destination,
    verdict: judgeConnection(source, destination, snapshot),
  }));
  if (output === 'json') {
    context.out(`${JSON.stringify({ from: `${source.namespace}/${source.name}`, judged }, jsonValue, 2)}\n`);
    return EXIT.ok;
  }
  context.out(sourceText(source));
  for (const { destination, verdict } of judged) {
    context.out(`to    ${destination.title}  ${destination.address}\n${verdictText(verdict, context.palette)}`);
  }
  return EXIT.ok;
}

/** Workloads are named, not spelt out. */
function jsonValue(key: string, value: unknown): unknown {
  if (key === 'workload' && typeof value === 'object' && value !== null && 'uid' in value) return value.uid;
  return value;
}
