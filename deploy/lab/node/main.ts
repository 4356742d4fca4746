/**
 * The stand-in for a node's kubelet, kube-proxy and DNS: `main.ts LAB NODE`, started by the supervisor in the node's
 * network namespace and in its `kubelet` cgroup. `NODE` is `outside` for the hosts that are no part of the cluster.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { wantsEnrolment } from '../../../controller/api/enrolment.ts';
import { Store } from '../cluster/store.ts';
import { messageOf } from '../errors.ts';
import { DNS_ADDRESSES, LabPaths, MAX_PODS_PER_NODE, nodeAddresses, OUTSIDE } from '../names.ts';
import { allNodes, readRecord } from '../record.ts';
import { availableCapabilities } from './capabilities.ts';
import { removeCgroup } from './cgroups.ts';
import { serveDns } from './dns/server.ts';
import { imageMap } from './images.ts';
import { AddressPool } from './ipam.ts';
import { Kubelet } from './kubelet.ts';
import type { FromNode, ToNode } from './messages.ts';
import { RulesetSync } from './proxy/ruleset.ts';

const [labName = '', nodeName = ''] = process.argv.slice(2);
const paths = new LabPaths(labName);
const record = readRecord(paths);
if (record === null || process.send === undefined) {
  process.stderr.write('deploy/lab/node/main.ts is started by the lab, not by hand\n');
  process.exit(2);
}
const { options } = record;
const outside = nodeName === OUTSIDE;
const nodes = allNodes(options);
const node = nodes.find((one) => one.name === nodeName) ?? { ...nodeAddresses(0), name: OUTSIDE };

function tell(message: FromNode): void {
  process.send?.(message);
}
function log(text: string): void {
  process.stdout.write(`${new Date().toISOString()} ${text}\n`);
}

// After a crash of this process its pods still run, and nobody knows them any more: they start anew.
await removeCgroup(join(record.cgroup, nodeName, 'pods'));
const announcements = join(paths.node(nodeName), 'pods');
mkdirSync(announcements, { recursive: true, mode: 0o700 });
// The files alone: the agent watches the directory.
for (const file of readdirSync(announcements)) rmSync(join(announcements, file), { force: true });

const store = new Store();
const kubelet = new Kubelet({
  store,
  place: { paths, node, nodes, outside, podsCgroup: join(record.cgroup, nodeName, 'pods') },
  pool: new AddressPool(node.index, outside ? MAX_PODS_PER_NODE : options.podsPerNode),
  images: imageMap(options.images),
  available: availableCapabilities(),
  agentSocket: options.agents && !outside ? paths.agentSocket(nodeName) : null,
  wantsEnrolment: (pod) => {
    const namespace = store.get('Namespace', '', pod.metadata.namespace ?? 'default');
    const { labels = {}, annotations = {} } = pod.metadata;
    const honourIstio = options.controllerConfig.honourIstioLabel !== false;
    return wantsEnrolment(
      namespace?.metadata.labels ?? {},
      labels,
      annotations,
      pod.spec.hostNetwork === true,
      honourIstio,
    );
  },
  tell,
  log,
});

if (!outside) {
  new RulesetSync(store, nodeName, (error) => log(`nftables: ${messageOf(error)}`));
  await serveDns(DNS_ADDRESSES, store);
}
process.on('message', (message) => {
  for (const change of (message as ToNode).changes) store.apply(change);
  kubelet.sync();
});
// Without its supervisor a node has no purpose; what it ran is removed by `lab down`.
process.on('disconnect', () => process.exit(0));
tell({ type: 'ready' });
