import { decode } from '../../../../controller/api/decode.ts';
import type { ApiObject } from '../../../../controller/api/kinds.ts';
import { formatProblem } from '../../../../controller/api/problem.ts';

/** An L4Policy `shop/p` whose spec goes on with `rest`, from line 6 on. */
export function policyYaml(rest: string): string {
  return `apiVersion: aquifer.dev/v1alpha1\nkind: L4Policy\nmetadata: {name: p, namespace: shop}\nspec:\n  action: Allow\n  ${rest}\n`;
}

/** Decodes manifests that are valid; throws with the problems otherwise. */
export function objects(yaml: string): ApiObject[] {
  const { documents } = decode(yaml, 'test.yaml');
  const problems = documents.flatMap((document) => document.problems);
  if (problems.length > 0) throw new Error(problems.map(formatProblem).join('\n'));
  return documents.flatMap(({ object }) => (object === null ? [] : [object]));
}

/** Decodes one valid manifest. */
export function object(yaml: string): ApiObject {
  const [only] = objects(yaml);
  if (only === undefined) throw new Error('no object');
  return only;
}

/** A running, ready pod; `more` overrides parts. */
export function pod(
  name: string,
  more: {
    namespace?: string;
    labels?: Record<string, string>;
    address?: string;
    node?: string;
    metadata?: object;
    spec?: object;
    status?: object;
  } = {},
): ApiObject {
  const { namespace = 'shop', labels = { app: name }, address = '10.244.1.5', node = 'node-1' } = more;
  return object(
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels, uid: `uid-${name}`, ...more.metadata },
      spec: { nodeName: node, containers: [{ name: 'c' }], ...more.spec },
      status: {
        phase: 'Running',
        podIPs: [{ ip: address }],
        conditions: [{ type: 'Ready', status: 'True' }],
        ...more.status,
      },
    }),
  );
}

/** A Service of port 80 that selects `app: <name>`. */
export function service(name: string, spec: object = {}, metadata: object = {}): ApiObject {
  return object(
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'shop', ...metadata },
      spec: { clusterIP: '10.96.0.1', selector: { app: name }, ports: [{ port: 80 }], ...spec },
    }),
  );
}

/** A slice of a Service in `shop`. */
export function slice(name: string, serviceName: string, endpoints: object[], ports: object[] = []): ApiObject {
  return object(
    JSON.stringify({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': serviceName } },
      addressType: 'IPv4',
      endpoints,
      ports,
    }),
  );
}

/** A Namespace, enrolled unless told otherwise. */
export function namespace(name: string, labels: Record<string, string> = { 'aquifer.dev/dataplane-mode': 'ambient' }) {
  return object(JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }));
}

/** An L4Policy; Allow from `shop/web` unless told otherwise. */
export function policy(name: string, spec: object = {}, ns = 'shop'): ApiObject {
  const rules = [{ from: [{ serviceAccounts: ['shop/web'] }] }];
  return object(
    JSON.stringify({
      apiVersion: 'aquifer.dev/v1alpha1',
      kind: 'L4Policy',
      metadata: { name, namespace: ns },
      spec: { action: 'Allow', rules, ...spec },
    }),
  );
}
