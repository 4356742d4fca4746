import { atMost, parseArguments } from './arguments.ts';
import type { Context, Verb } from './context.ts';
import { CliError, EXIT } from './errors.ts';
import { type FlowFilter, flowLine, flowMatches, verdictOf } from './flow-line.ts';
import { followLines, type Peer } from './http.ts';
import { FLOW } from './responses.ts';
import { findTarget } from './target.ts';

const OPTIONS = {
  namespace: { type: 'string', short: 'n' },
  pod: { type: 'string' },
  verdict: { type: 'string' },
  protocol: { type: 'string' },
  output: { type: 'string', short: 'o' },
} as const;

export const OBSERVE: Verb = {
  name: 'observe',
  summary: 'follow the connections of the mesh as they open, end and are refused',
  help: `Usage: aquifer observe [-n NAMESPACE] [--pod POD] [--verdict allowed|denied] [--protocol tcp] [-o text|json]

Follows all agents until Ctrl-C, one line for each connection that opens, ends or is refused.

Options:
  -n, --namespace NAME     connections from or to this namespace
      --pod [NS/]NAME      connections from or to this pod
      --verdict VERDICT    any (default), allowed or denied
      --protocol PROTOCOL  tcp
  -o, --output FORMAT      text (default) or json: one object a line, the fields of the access log and its node
      --lab NAME           the lab to follow (default: AQUIFER_LAB, else "lab")

Examples:
  aquifer observe -n shop --verdict denied
  aquifer observe --pod shop/db -o json`,
  run,
};

async function run(args: readonly string[], context: Context): Promise<number> {
  const parsed = parseArguments('observe', args, OPTIONS);
  if (parsed === null) {
    context.out(`${OBSERVE.help}\n`);
    return EXIT.ok;
  }
  atMost(0, 'observe', parsed.positionals);
  parsed.choice('protocol', ['tcp']);
  const json = parsed.choice('output', ['text', 'json']) === 'json';
  const filter: FlowFilter = {
    namespace: parsed.text('namespace'),
    pod: parsed.text('pod'),
    verdict: parsed.choice('verdict', ['any', 'allowed', 'denied']),
  };
  const target = findTarget(parsed, context);
  if (target.agents.length === 0)
    throw new CliError(`lab "${target.lab}" has no nodes`, { hint: 'aquifer lab status' });
  const ends = await Promise.allSettled(target.agents.map((agent) => follow(agent, filter, json, context)));
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed === undefined) return EXIT.ok;
  throw failed.reason;
}

async function follow(
  agent: Peer & { node: string },
  filter: FlowFilter,
  json: boolean,
  context: Context,
): Promise<void> {
  for await (const line of followLines(agent, '/flows', context.signal)) {
    const flow = FLOW.parse(JSON.parse(line));
    if (!flowMatches(flow, filter)) continue;
    if (json) context.out(`${JSON.stringify({ node: agent.node, verdict: verdictOf(flow), ...flow })}\n`);
    else context.out(flowLine(flow, agent.node, context.palette));
  }
}
