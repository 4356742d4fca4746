import test, { type ExecutionContext } from 'ava';
import { decode } from '../../../controller/api/decode.ts';
import { Index } from '../../../controller/index/index.ts';
import { ResourceCache } from '../../../controller/serve/resource-cache.ts';
import { TYPE_URLS } from '../../../controller/serve/types.ts';
import type { FakeMesh } from '../../support/fake-api.ts';
import { aquifer, fakeMesh } from './run-verbs.ts';

const pod = (name: string, node: string, address: string, labels = `app: ${name}`) => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, uid: u-${name}, labels: {${labels}}}
spec: {serviceAccountName: ${name}, nodeName: ${node}, containers: [{name: c, image: c, ports: [{containerPort: 5432}]}]}
status:
  phase: Running
  podIP: ${address}
  podIPs: [{ip: ${address}}]
  conditions: [{type: Ready, status: "True"}]
---`;

const MESH = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {aquifer.dev/dataplane-mode: ambient}}
---${pod('web', 'node-1', '10.0.1.1')}${pod('cart', 'node-1', '10.0.1.2')}${pod('db', 'node-2', '10.0.2.1')}
${pod('old', 'node-1', '10.0.1.3', 'app: old, aquifer.dev/dataplane-mode: none')}
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10], selector: {app: db}, ports: [{port: 15432, targetPort: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{port: 5432}]
endpoints: [{addresses: [10.0.2.1], conditions: {ready: true}, nodeName: node-2, targetRef: {kind: Pod, name: db, namespace: shop}}]
`;

const ALLOW_WEB = `
---
apiVersion: aquifer.dev/v1alpha1
kind: L4Policy
metadata: {name: db-callers, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  action: Allow
  rules: [{from: [{serviceAccounts: [shop/web]}]}]
`;

const API = `
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {clusterIP: 10.96.0.11, clusterIPs: [10.96.0.11], ports: [{name: a, port: 8080}, {name: b, port: 8443}]}
`;

/** The controller's own index and encoder behind a socket: what `explain` reads is what agents would get. */
async function meshOf(t: ExecutionContext, manifests: string): Promise<FakeMesh> {
  const options = {
    clusterId: 'Kubernetes',
    network: '',
    trustDomain: 'cluster.local',
    clusterDomain: 'cluster.local',
  };
  const index = new Index({ ...options, rootNamespace: 'aquifer-system', honourIstioLabel: true });
  for (const { object, problems } of decode(manifests, 'test.yaml').documents) {
    if (object === null) throw new Error(JSON.stringify(problems));
    index.apply(object);
  }
  const cache = new ResourceCache();
  cache.update(index.commit());
  const resources = Object.values(TYPE_URLS).flatMap((typeUrl) =>
    [...cache.names(typeUrl)].map((name) => {
      const { version = '', bytes = new Uint8Array() } = cache.get(typeUrl, name) ?? {};
      return { typeUrl, name, version, value: Buffer.from(bytes).toString('base64') };
    }),
  );
  return await fakeMesh(t).controller(() => ({ body: { resources } }));
}

const explain = (mesh: FakeMesh, ...args: string[]) => aquifer(mesh, ['explain', ...args]);

test('explain names the policy that refuses and the rule that does not match', async (t) => {
  const mesh = await meshOf(t, MESH + ALLOW_WEB);
  const ran = await explain(mesh, '--from', 'shop/cart', '--to', 'shop/db', '--port', '15432');
  t.is(ran.code, 0, ran.stderr);
  t.is(
    ran.stdout,
    `from  shop/cart (10.0.1.2, node-1)  spiffe://cluster.local/ns/shop/sa/cart
to    Service shop/db:15432  10.96.0.10

shop/db  10.0.2.1:5432  other node
  leaving the caller: allowed, no policy applies
  entering the callee: denied
    POLICY            ACTION   OUTCOME
    shop/db-callers   Allow    rule 1: serviceAccounts differ   ← decides

DENIED by shop/db-callers: none of its rules admits the caller
`,
  );
});

test('explain names the policy that admits', async (t) => {
  const mesh = await meshOf(t, MESH + ALLOW_WEB);
  const ran = await explain(mesh, '--from', 'shop/web', '--to', 'shop/db');
  t.regex(ran.stdout, /rule 1 matches +← decides/);
  t.regex(ran.stdout, /\nALLOWED by shop\/db-callers\n$/);
});

test('explain of a caller that is not enrolled gives it no identity', async (t) => {
  const mesh = await meshOf(t, MESH + ALLOW_WEB.replace('shop/web', 'shop/old'));
  const ran = await explain(mesh, '--from', 'shop/old', '--to', 'shop/db');
  t.regex(ran.stdout, /not enrolled: no identity/);
  t.regex(ran.stdout, /leaving the caller: not judged/);
  t.regex(ran.stdout, /\nDENIED by shop\/db-callers/);
});

test('explain takes a pod, its port, and an address as destination', async (t) => {
  const mesh = await meshOf(t, MESH + ALLOW_WEB);
  for (const to of ['shop/db:5432', '10.0.2.1:5432']) {
    t.regex((await explain(mesh, '--from', 'shop/web', '--to', to)).stdout, /\nALLOWED by shop\/db-callers\n$/, to);
  }
  const outside = await explain(mesh, '--from', 'shop/web', '--to', '[2001:db8::1]:443');
  t.regex(outside.stdout, /no workload of the mesh {2}\[2001:db8::1\]:443 {2}not in the mesh/);
  t.regex(outside.stdout, /\nALLOWED: no policy forbids it \(mesh default\)\n$/);
});

test('explain of a Service without the port that was asked for names its ports', async (t) => {
  const mesh = await meshOf(t, MESH + API);
  const ran = await explain(mesh, '--from', 'shop/web', '--to', 'shop/api:80');
  t.is(ran.code, 1);
  t.regex(ran.stderr, /--to: Service shop\/api has no port 80\n {2}its ports are 8080, 8443/);
});

test('explain refuses a call to the listeners of the agent as the data path does', async (t) => {
  const mesh = await meshOf(t, MESH);
  const ran = await explain(mesh, '--from', 'shop/web', '--to', 'shop/db:15008');
  t.regex(ran.stdout, /DENIED: self_call/);
});

test('explain names the nearest pod, and what is missing on the command line', async (t) => {
  const mesh = await meshOf(t, MESH);
  const wrong = await explain(mesh, '--from', 'shop/wbe', '--to', 'shop/db');
  t.is(wrong.code, 1);
  t.regex(wrong.stderr, /no pod shop\/wbe is known\n {2}did you mean shop\/web\?/);
  t.is((await explain(mesh, '--to', 'shop/db')).code, 2);
  t.is((await explain(mesh, '--from', 'web', '--to', 'shop/db')).code, 2);
  t.is((await explain(mesh, '--from', 'shop/web', '--to', 'shop/db:99999')).code, 2);
});

test('explain -o json carries verdict and policies', async (t) => {
  const mesh = await meshOf(t, MESH + ALLOW_WEB);
  const ran = await explain(mesh, '--from', 'shop/cart', '--to', 'shop/db', '-o', 'json');
  const { judged } = JSON.parse(ran.stdout) as {
    judged: { verdict: { endpoints: { allowed: boolean; inbound: { verdict: { policy: string } } }[] } }[];
  };
  const [endpoint] = judged[0]?.verdict.endpoints ?? [];
  t.false(endpoint?.allowed);
  t.is(endpoint?.inbound.verdict.policy, 'shop/db-callers');
});

test('explain tells what an audit policy would do', async (t) => {
  const mesh = await meshOf(t, MESH + ALLOW_WEB.replace('action: Allow', 'action: Allow\n  enforcement: Audit'));
  const ran = await explain(mesh, '--from', 'shop/cart', '--to', 'shop/db');
  t.regex(ran.stdout, /rule 1: serviceAccounts differ \(audit: logged only\)/);
  t.regex(ran.stdout, /\nALLOWED.*\nif they were enforced, these audit policies would refuse it: shop\/db-callers\n$/);
});

test('explain calls fields by the names that the policy has, and tells what a not field excludes', async (t) => {
  const policies = `---
apiVersion: aquifer.dev/v1alpha1
kind: L4Policy
metadata: { name: no-telnet, namespace: shop }
spec: { action: Deny, rules: [{ to: [{ ports: [23] }] }] }
---
apiVersion: aquifer.dev/v1alpha1
kind: L4Policy
metadata: { name: not-db, namespace: shop }
spec:
  direction: Outbound
  action: Allow
  rules: [{ to: [{ notServices: [db] }] }]
`;
  const mesh = await meshOf(t, MESH + policies);
  const ran = await explain(mesh, '--from', 'shop/cart', '--to', 'shop/db', '--port', '15432');
  t.regex(ran.stdout, /shop\/no-telnet +Deny +rule 1: ports differ\n/);
  t.regex(ran.stdout, /shop\/not-db +Allow +rule 1: excluded by notServices +← decides\n/);
  t.regex(ran.stdout, /DENIED by shop\/not-db: none of its rules admits this destination\n/);
});
