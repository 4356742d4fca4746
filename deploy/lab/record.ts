/** `lab.json`: what a lab was started with and which processes it has. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { codeOf } from './errors.ts';
import { type LabPaths, MAX_NODES, MAX_PODS_PER_NODE, type NodeAddresses, nodeAddresses } from './names.ts';

const OptionsSchema = z.strictObject({
  nodes: z.int().min(1).max(MAX_NODES),
  /** Absolute paths. */
  manifests: z.array(z.string()),
  /** Image name to command line. */
  images: z.record(z.string(), z.string()),
  agents: z.boolean(),
  podsPerNode: z.int().min(1).max(MAX_PODS_PER_NODE),
  /** Merged over what the lab writes into the agents' and the controller's configuration. */
  agentConfig: z.record(z.string(), z.unknown()),
  controllerConfig: z.record(z.string(), z.unknown()),
});

const RecordSchema = z.strictObject({
  name: z.string(),
  createdAt: z.string(),
  cgroup: z.string(),
  options: OptionsSchema,
  nodes: z.array(z.strictObject({ name: z.string(), netns: z.string(), address: z.string(), agentSocket: z.string() })),
  fabric: z.strictObject({ netns: z.string() }),
  controller: z.strictObject({ socket: z.string(), address: z.string() }),
  /** Process name (`supervisor`, `controller`, `agent/node-1`, `kubelet/node-1`, …) to pid. */
  pids: z.record(z.string(), z.int()),
});

export type LabOptions = Readonly<z.infer<typeof OptionsSchema>>;
export type LabRecord = z.infer<typeof RecordSchema>;

/** `null` when there is none or a crash left half of one. */
export function readRecord(paths: LabPaths): LabRecord | null {
  try {
    const parsed = RecordSchema.safeParse(JSON.parse(readFileSync(paths.record, 'utf8')));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || error instanceof SyntaxError) return null;
    throw error;
  }
}

export function writeRecord(paths: LabPaths, record: LabRecord): void {
  writeFileSync(`${paths.record}.tmp`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${paths.record}.tmp`, paths.record);
}

export function allNodes(options: LabOptions): NodeAddresses[] {
  return Array.from({ length: options.nodes }, (_, index) => nodeAddresses(index + 1));
}
