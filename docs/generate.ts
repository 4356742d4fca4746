/**
 * Writes the tables of `docs/reference/` that follow from the code: `node docs/generate.ts`. Each stands between
 * `<!-- generated: NAME -->` and `<!-- end -->`; the text around them is written by hand.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { LimitsSchema } from '../agent/config/limits.ts';
import { ConfigSchema } from '../agent/config/schema.ts';
import { type NumberParts, numberSources } from '../agent/metrics-sources.ts';
import { MESH_ERRORS } from '../agent/model/errors.ts';
import { buildRegistry, type MetricSources } from '../agent/observe/metrics.ts';
import { SERIES_LABELS } from '../agent/observe/series.ts';
import { ControllerConfigSchema } from '../controller/serve/config.ts';
import { ControllerMetrics } from '../controller/serve/metrics.ts';
import { configTable, metricsTable, table } from './tables.ts';

export const REFERENCE = new URL('./reference/', import.meta.url);

const BLOCK = /<!-- generated: ([a-z-]+) -->\n[\s\S]*?<!-- end -->/g;
const CONNECTION_LABELS = { labels: SERIES_LABELS, word: 'connection labels' };
const isOfConnections = (name: string): boolean => name.startsWith('istio_tcp_');

/** The registries as the processes build them. Their numbers are read at a scrape, of which there is none here. */
function registries() {
  const { gauges, counters } = numberSources({} as NumberParts);
  const agent = buildRegistry({ gauges, counters } as unknown as MetricSources);
  const controller = new ControllerMetrics({ connectedAgents: () => 0, objectsByKind: () => new Map() });
  return { agent, controller: controller.registry };
}

function blocks(): Record<string, string> {
  const { agent, controller } = registries();
  return {
    'agent-config': configTable(ConfigSchema.omit({ limits: true })),
    'agent-limits': configTable(LimitsSchema, 'limits.'),
    'controller-config': configTable(ControllerConfigSchema),
    'agent-connection-metrics': metricsTable(agent, isOfConnections, CONNECTION_LABELS),
    'agent-metrics': metricsTable(agent, (name) => !isOfConnections(name), CONNECTION_LABELS),
    'controller-metrics': metricsTable(controller, () => true, CONNECTION_LABELS),
    'mesh-errors': table(
      ['code', 'meaning'],
      Object.entries(MESH_ERRORS).map(([code, meaning]) => [`\`${code}\``, meaning]),
    ),
  };
}

/** File name to what the file ought to hold now. Throws for a block of which nothing is known, and for one that no file has. */
export function generated(): Map<string, string> {
  const known = blocks();
  const missing = new Set(Object.keys(known));
  const files = readdirSync(REFERENCE).filter((name) => name.endsWith('.md'));
  const pages = files.map((name): [string, string] => {
    const page = readFileSync(new URL(name, REFERENCE), 'utf8').replace(BLOCK, (_, block: string) => {
      const text = known[block];
      if (text === undefined) throw new Error(`${name}: there is no table "${block}"`);
      missing.delete(block);
      return `<!-- generated: ${block} -->\n${text}\n<!-- end -->`;
    });
    return [name, page];
  });
  if (missing.size > 0) throw new Error(`no page has the tables ${[...missing].join(', ')}`);
  return new Map(pages);
}

if (import.meta.main) {
  for (const [name, text] of generated()) writeFileSync(new URL(name, REFERENCE), text);
}
