import test from 'ava';
import { decode } from '../../../../controller/api/decode.ts';
import { formatProblem } from '../../../../controller/api/problem.ts';
import { policyYaml } from '../support/objects.ts';

/** What a user sees, character by character: these are documentation. */
const CASES: readonly { name: string; yaml: string; expect: readonly string[] }[] = [
  {
    name: 'a mistyped field names the nearest known one, on its line',
    yaml: policyYaml('rules:\n  - from:\n    - serviceAcounts: [shop/web]'),
    expect: [
      'f.yaml:8: spec.rules[0].from[0].serviceAcounts: unknown field "serviceAcounts" (did you mean serviceAccounts?)',
    ],
  },
  {
    name: 'an L7 field of a request belongs in an L7Policy',
    yaml: policyYaml('rules:\n  - to:\n    - paths: ["/admin"]'),
    expect: [
      'f.yaml:8: spec.rules[0].to[0].paths: paths is an L7 field: it belongs in an L7Policy (an L4Policy sees connections)',
    ],
  },
  {
    name: 'a when clause belongs in an L7Policy',
    yaml: policyYaml('rules:\n  - when: [{key: x, values: [y]}]'),
    expect: [
      'f.yaml:7: spec.rules[0].when: when is an L7 field: it belongs in an L7Policy (an L4Policy sees connections)',
    ],
  },
  {
    name: 'a JWT principal belongs in an L7Policy',
    yaml: policyYaml('rules:\n  - from: [{requestPrincipals: ["*"]}]'),
    expect: [
      'f.yaml:7: spec.rules[0].from[0].requestPrincipals: requestPrincipals is an L7 field: it belongs in an L7Policy (an L4Policy sees connections)',
    ],
  },
  {
    name: 'hosts of an Inbound rule belong in an L7Policy',
    yaml: policyYaml('rules:\n  - to: [{hosts: [db.shop]}]'),
    expect: ['f.yaml:7: spec.rules[0].to[0].hosts: hosts of an Inbound rule belongs in an L7Policy'],
  },
  {
    name: 'a destination of an Inbound rule is a policy of the other direction',
    yaml: policyYaml('rules:\n  - to: [{services: [shop/db]}]'),
    expect: [
      'f.yaml:7: spec.rules[0].to[0].services: services belongs in a policy of direction Outbound (a policy of direction Inbound selects the destination itself: only ports stand in `to`)',
    ],
  },
  {
    name: 'ports out of range and upside down',
    yaml: policyYaml('rules:\n  - to:\n    - ports: [0, 65536, "9-8", "http", 80.5]'),
    expect: ['0', '65536', '"9-8"', '"http"', '80.5'].map(
      (port, at) =>
        `f.yaml:8: spec.rules[0].to[0].ports[${at}]: ${port} is not a port (1 to 65535, or a range such as "8000-8100")`,
    ),
  },
  {
    name: 'blocks that are none, and host bits',
    yaml: policyYaml(
      'rules:\n  - from:\n    - ipBlocks: [10.0.0.1/8, 10.0.0.0/33, 300.1.1.1, "fd00::1/64", 010.0.0.1, "::ffff:10.0.0.1"]',
    ),
    expect: [
      '"10.0.0.1/8" has host bits set (write 10.0.0.0/8)',
      '"10.0.0.0/33" has a bad prefix length (0 to 32)',
      '"300.1.1.1" is not an IP address or CIDR',
      '"fd00::1/64" has host bits set (write fd00::/64)',
      '"010.0.0.1" is not an IP address or CIDR',
      '"::ffff:10.0.0.1" is an IPv4-mapped address (write the IPv4 address)',
    ].map((reason, at) => `f.yaml:8: spec.rules[0].from[0].ipBlocks[${at}]: ${reason}`),
  },
  {
    name: 'principals, service accounts and patterns that would never match',
    yaml: policyYaml(
      'rules:\n  - from:\n    - principals: ["spiffe://td/shop/web", "a*b"]\n      serviceAccounts: ["shop/*", a/b/c]\n      namespaces: [Shop]',
    ),
    expect: [
      'f.yaml:8: spec.rules[0].from[0].principals[0]: "spiffe://td/shop/web" is not a principal (<trust domain>/ns/<namespace>/sa/<service account>)',
      'f.yaml:8: spec.rules[0].from[0].principals[1]: "a*b" is not a principal (exact, prefix*, *suffix or *)',
      'f.yaml:9: spec.rules[0].from[0].serviceAccounts[0]: "shop/*" has a wildcard (use namespaces or principals for patterns)',
      'f.yaml:9: spec.rules[0].from[0].serviceAccounts[1]: "a/b/c" is not a service account (namespace/name, or name)',
      'f.yaml:10: spec.rules[0].from[0].namespaces[0]: "Shop" is not a namespace',
    ],
  },
  {
    name: 'empty lists and entries mean nothing',
    yaml: policyYaml('rules:\n  - from: []\n  - from: [{}]\n  - to: [{ports: []}]'),
    expect: [
      'f.yaml:7: spec.rules[0].from: must not be empty; leave the field out to mean "any"',
      'f.yaml:8: spec.rules[1].from[0]: an entry needs at least one field (leave the whole list out to mean "any")',
      'f.yaml:9: spec.rules[2].to[0].ports: must not be empty; leave the field out to say nothing',
    ],
  },
  {
    name: 'selector and targetRefs exclude each other',
    yaml: policyYaml('selector: {matchLabels: {a: b}}\n  targetRefs: [{group: "", kind: Service, name: db}]'),
    expect: ['f.yaml:6: spec.selector: targetRefs and selector exclude each other'],
  },
  {
    name: 'a target that is no Service, and one of an Outbound policy',
    yaml: policyYaml('targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: db}]'),
    expect: [
      'f.yaml:6: spec.targetRefs[0].group: only Services (group "") can be targets so far',
      'f.yaml:6: spec.targetRefs[0].kind: only Services can be targets so far',
    ],
  },
  {
    name: 'targetRefs of an Outbound policy',
    yaml: policyYaml('direction: Outbound\n  targetRefs: [{group: "", kind: Service, name: db}]'),
    expect: [
      'f.yaml:7: spec.targetRefs: targetRefs have no meaning in an Outbound policy (select the callers by selector, and name Services in `to`)',
    ],
  },
  {
    name: 'an action in the wrong case, and a missing one',
    yaml: 'apiVersion: aquifer.dev/v1alpha1\nkind: L4Policy\nmetadata: {name: p}\nspec:\n  action: ALLOW\n---\napiVersion: aquifer.dev/v1alpha1\nkind: L4Policy\nmetadata: {name: q}\nspec: {}',
    expect: [
      'f.yaml:5: spec.action: must be Allow or Deny, not "ALLOW" (did you mean Allow?)',
      'f.yaml:10: spec.action: is required',
    ],
  },
  {
    name: 'a kind that is not supported lists those that are',
    yaml: 'apiVersion: v1\nkind: Servise\nmetadata: {name: x}',
    expect: [
      'f.yaml:2: kind: kind "Servise" is not supported (did you mean Service? supported: Namespace, ServiceAccount, Node, Pod, Deployment, Service, EndpointSlice, NetworkPolicy, L4Policy, MeshConfig)',
    ],
  },
  {
    name: 'labels that YAML read as numbers, and labels that are none',
    yaml: 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels:\n    version: 1\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels:\n    "a b": x\n    ok: "no spaces here"',
    expect: [
      'f.yaml:6: metadata.labels.version: must be a string, not 1 (put it in quotes)',
      'f.yaml:13: metadata.labels["a b"]: "a b" is not a label key ([prefix/]name)',
      'f.yaml:14: metadata.labels.ok: "no spaces here" is not a label value (at most 63 of A-Z a-z 0-9 _ . -, the first and last alphanumeric)',
    ],
  },
  {
    name: 'a mistyped dataplane mode',
    yaml: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {aquifer.dev/dataplane-mode: ambiant}}',
    expect: [
      'f.yaml:3: metadata.labels["aquifer.dev/dataplane-mode"]: "ambiant" is not a dataplane mode (ambient or none)',
    ],
  },
  {
    name: 'wrong types of fields that are read in core kinds',
    yaml: 'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    ports: [{containerPort: "80"}]\n  hostNetwork: "yes"',
    expect: [
      'f.yaml:7: spec.containers[0].ports[0].containerPort: must be a port number',
      'f.yaml:8: spec.hostNetwork: must be a boolean, not "yes"',
    ],
  },
  {
    name: 'a MeshConfig has one name and honours what it says',
    yaml: 'apiVersion: aquifer.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: other}\nspec: {}\n---\napiVersion: aquifer.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {defaultAction: Deny}',
    expect: [
      'f.yaml:3: metadata.name: there is one MeshConfig, named default',
      'f.yaml:9: spec.defaultAction: only Allow so far; refuse by an L4Policy of the root namespace with no rules',
    ],
  },
  {
    name: 'malformed YAML',
    yaml: 'kind: [Pod\nmetadata: }',
    expect: [],
  },
];

for (const { name, yaml, expect } of CASES) {
  test(`decode tells ${name}`, (t) => {
    const { documents, malformed } = decode(yaml, 'f.yaml');
    const told = documents.flatMap(({ problems }) => problems.map(formatProblem));
    if (expect.length === 0) {
      t.true(malformed);
      t.regex(told[0] ?? '', /^f\.yaml:\d+: malformed YAML: /);
      return;
    }
    t.deepEqual(told, expect);
  });
}

test('decode refuses a policy that would not fit on the wire', (t) => {
  const entry = '  - to: [{ports: ["1-30000"]}]';
  const told = (rules: number) => {
    const { documents } = decode(policyYaml(`rules:\n${Array(rules).fill(entry).join('\n')}`), 'f.yaml');
    return documents.flatMap(({ problems }) => problems.map(({ field, reason }) => `${field}: ${reason}`));
  };
  t.deepEqual(told(11), []);
  t.regex(told(12)[0] ?? '', /^spec\.rules: takes about \d+ bytes on the wire$/);
});

test('decode keeps unknown fields of core kinds', (t) => {
  const [document] = decode(
    'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, resources: {limits: {cpu: 1}}}], dnsPolicy: Default}',
    'f.yaml',
  ).documents;
  t.deepEqual(document?.problems, []);
  t.like(document?.object, { spec: { dnsPolicy: 'Default', containers: [{ resources: { limits: { cpu: 1 } } }] } });
});

test('decode reads JSON, lists of objects and kind List, and tells lines in them', (t) => {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } };
  const bad = { ...namespace, metadata: { name: 'B' } };
  const names = (text: string) => decode(text, 'f').documents.map(({ ref }) => ref?.name);
  t.deepEqual(names(JSON.stringify(namespace)), ['a']);
  t.deepEqual(names(JSON.stringify([namespace, namespace])), ['a', 'a']);
  t.deepEqual(names(JSON.stringify({ kind: 'List', apiVersion: 'v1', items: [namespace] })), ['a']);
  const text = JSON.stringify({ kind: 'List', items: [namespace, bad] }, null, 1);
  const problem = decode(text, 'f').documents[1]?.problems[0];
  t.is(problem?.line, text.split('\n').findIndex((line) => line.includes('"B"')) + 1);
});

test('a policy may have all fields of its direction', (t) => {
  const from = `
      serviceAccounts: [shop/web, api]
      notServiceAccounts: [shop/evil]
      namespaces: [shop, "team-*"]
      notNamespaces: ["*-test"]
      principals: ["spiffe://cluster.local/ns/a/sa/b", "*/sa/c"]
      notPrincipals: ["cluster.local/ns/x/sa/y"]
      ipBlocks: [10.0.0.0/8, "fd00::/8", 192.0.2.1]
      notIpBlocks: [10.1.0.0/16]`;
  const inbound = policyYaml(`enforcement: Audit
  selector: {matchLabels: {app: db}}
  rules:
  - from:
    -${from.slice(6)}
    to: [{ports: [5432, "8000-8100"], notPorts: [8001]}]`);
  const outbound = policyYaml(`direction: Outbound
  rules:
  - from:
    -${from.slice(6)}
    to:
    - services: [db, "shop/*", "*/cache"]
      notServices: [shop/old]
      namespaces: [shop]
      notNamespaces: [x]
      ipBlocks: [10.0.0.0/8]
      notIpBlocks: [10.1.0.0/16]
      hosts: ["*.shop.svc.cluster.local"]
      notHosts: [a.b.svc.cluster.local]
      ports: ["1-65535"]
      notPorts: [25]`);
  for (const text of [inbound, outbound]) {
    const [document] = decode(text, 'f.yaml').documents;
    t.deepEqual(document?.problems, []);
  }
});
