/** Makes the fabric and the nodes' namespaces. */
import type { LabPaths, NodeAddresses } from '../names.ts';
import { attachNode, createFabric, fabricCommands, inNamespace, nodeCommands, sysctls } from '../network/topology.ts';
import { ipBatch, tool } from '../tools.ts';

/** `onStep` names what is done. Throws `LAB_COMMAND_FAILED`; what was made is left to `down`. */
export async function createNetwork(
  paths: LabPaths,
  nodes: readonly NodeAddresses[],
  onStep: (what: string) => void,
): Promise<void> {
  await ipBatch(createFabric(paths.fabric));
  await configure(paths.fabric, fabricCommands());
  onStep('fabric');
  await ipBatch(
    nodes.flatMap((node) => attachNode(paths.nodeNetns(node.name), node)),
    paths.fabric,
  );
  for (const node of nodes) {
    await configure(paths.nodeNetns(node.name), nodeCommands(node, nodes));
    onStep(node.name);
  }
}

async function configure(netns: string, commands: readonly string[]): Promise<void> {
  const [command, args, input] = inNamespace(netns, sysctls(true), commands);
  await tool(command, args, { input });
}
