import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, toBinary } from '@bufbuild/protobuf';
import test from 'ava';
import { toAddressResource } from '../../../../../agent/sync/convert/address.ts';
import { Malformed } from '../../../../../agent/sync/convert/malformed.ts';
import { toOutboundPolicy } from '../../../../../agent/sync/convert/outbound.ts';
import { toInboundPolicy } from '../../../../../agent/sync/convert/policy.ts';
import { TYPE_ADDRESS, TYPE_OUTBOUND } from '../../../../../agent/sync/types.ts';
import { WorkloadExtensionSchema } from '../../../../../controller/proto/gen/aquifer/v1/extensions_pb.js';
import type { Resource } from '../../../../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import { Action, type MatchSchema } from '../../../../../controller/proto/gen/istio/authorization_pb.js';
import {
  AddressSchema,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
} from '../../../../../controller/proto/gen/istio/workload_pb.js';
import { addressBytes, aMatch, blocks, seededRandom } from '../../../../support/mesh.ts';
import {
  authorizationExtension,
  ref,
  serviceExtension,
  wireOutbound,
  wirePolicy,
  wireService,
  wireWorkload,
  workloadExtension,
} from '../../../../support/wire.ts';

const convert = ({ resource, name, version }: Resource) => {
  const value = resource?.value ?? new Uint8Array();
  if (resource?.typeUrl === TYPE_ADDRESS) return toAddressResource(value, name).value;
  return resource?.typeUrl === TYPE_OUTBOUND
    ? toOutboundPolicy(value, name, version)
    : toInboundPolicy(value, name, version);
};
const policyOf = ({ resource, name, version }: Resource) =>
  toInboundPolicy(resource?.value ?? new Uint8Array(), name, version);
const withMatch = (match: MessageInitShape<typeof MatchSchema>, action = Action.DENY) =>
  wirePolicy('shop/p', { action, rules: [{ clauses: [{ matches: [match] }] }] });
const matchOf = (wire: Resource) => policyOf(wire).rules[0]?.[0]?.[0];

test('a workload comes over whole', (t) => {
  const wire = wireWorkload('shop/web', {
    addresses: [addressBytes('10.0.0.1'), addressBytes('fd00::1')],
    services: { 'shop/web': { ports: [{ servicePort: 80, targetPort: 8080 }, { servicePort: 81 }] } },
    capacity: 3,
    locality: { region: 'r', zone: 'z' },
    extensions: [
      workloadExtension({
        policies: [ref('shop/p', 'v1')],
        terminating: true,
        probePorts: [8081],
        podUid: 'u',
        endpoints: [{ service: 'shop/web', ready: true, forZones: ['z'] }],
      }),
      { name: 'example.com/other' },
    ],
  });
  t.like(convert(wire), {
    uid: 'Kubernetes//Pod/shop/web',
    identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
    addresses: ['10.0.0.1', 'fd00::1'],
    enrolled: true,
    healthy: true,
    serving: false,
    terminating: true,
    capacity: 3,
    probePorts: [8081],
    policies: [{ name: 'shop/p', version: 'v1', direction: 'Inbound' }],
    podUid: 'u',
    locality: { region: 'r', zone: 'z', subzone: '' },
  });
});

test('a workload of istiod has no references and serves as long as it is healthy', (t) => {
  const wire = wireWorkload('shop/web', { serviceAccount: '', authorizationPolicies: ['shop/sel'] });
  const expected = { policies: null, selectorPolicies: ['shop/sel'], capacity: 1, serving: true, terminating: false };
  t.like(convert(wire), {
    ...expected,
    identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'default' },
  });
});

test('a Service comes over whole, internalTrafficPolicy Local before any other preference', (t) => {
  const wire = wireService('shop/db', '10.96.0.5', {
    loadBalancing: { mode: LoadBalancing_Mode.FAILOVER, routingPreference: [LoadBalancing_Scope.ZONE] },
    extensions: [serviceExtension({ sessionAffinityTimeoutSeconds: 60, internalTrafficPolicyLocal: true })],
  });
  t.like(convert(wire), {
    key: 'shop/db.shop.svc.cluster.local',
    addresses: ['10.96.0.5'],
    mode: 'strict',
    routingPreference: ['Node'],
    sessionAffinitySeconds: 60,
  });
});

test('a policy comes over whole; principals lose their scheme, neighbouring ports become ranges', (t) => {
  const wire = wirePolicy(
    'shop/p',
    {
      dryRun: true,
      extensions: [authorizationExtension({ appliesToPorts: [5432], requiredCapabilities: ['audit'] })],
      rules: [
        {
          clauses: [
            {
              matches: [
                {
                  principals: [
                    { matchType: { case: 'exact', value: 'spiffe://td/ns/a/sa/b' } },
                    { matchType: { case: 'suffix', value: '/sa/b' } },
                    { matchType: { case: 'presence', value: {} } },
                  ],
                  sourceIps: [{ address: addressBytes('10.0.0.0'), length: 8 }],
                  destinationPorts: [82, 80, 81, 90],
                },
              ],
            },
          ],
        },
      ],
    },
    'v7',
  );
  t.like(policyOf(wire), {
    name: 'shop/p',
    version: 'v7',
    scope: 'Namespace',
    action: 'Deny',
    enforcement: 'Audit',
    appliesToPorts: [5432],
  });
  t.deepEqual(
    matchOf(wire),
    aMatch({
      principals: [{ kind: 'exact', value: 'td/ns/a/sa/b' }, { kind: 'suffix', value: '/sa/b' }, { kind: 'presence' }],
      sourceIps: blocks('10.0.0.0/8'),
      destinationPorts: [
        { first: 80, last: 82 },
        { first: 90, last: 90 },
      ],
    }),
  );
});

test('an Outbound policy comes over whole', (t) => {
  const wire = wireOutbound('shop/out', {
    rules: [{ to: [{ services: ['shop/*', '*/db', 'a/b'], portRanges: [{ first: 8000, last: 8100 }], ports: [80] }] }],
  });
  const policy = convert(wire);
  t.like(policy, { direction: 'Outbound', action: 'Deny' });
  t.like('rules' in policy && policy.rules[0] && 'to' in policy.rules[0] ? policy.rules[0].to[0] : {}, {
    services: [
      { namespace: { kind: 'exact', value: 'shop' }, name: { kind: 'presence' } },
      { namespace: { kind: 'presence' }, name: { kind: 'exact', value: 'db' } },
      { namespace: { kind: 'exact', value: 'a' }, name: { kind: 'exact', value: 'b' } },
    ],
    ports: [
      { first: 80, last: 80 },
      { first: 8000, last: 8100 },
    ],
  });
});

const exact = (value: string) => ({ matchType: { case: 'exact' as const, value } });
const malformed: Record<string, [Resource, RegExp]> = {
  'an address of 5 bytes': [wireWorkload('a/b', { addresses: [new Uint8Array(5)] }), /addresses\[0\]: 5 bytes/],
  'an unknown tunnel protocol': [
    wireWorkload('a/b', { tunnelProtocol: 9 as never }),
    /tunnel_protocol: unknown value 9/,
  ],
  'an unknown status': [wireWorkload('a/b', { status: 5 as never }), /status: unknown value 5/],
  'an unknown network mode': [wireWorkload('a/b', { networkMode: 7 as never }), /network_mode/],
  'a target port above 65535': [
    wireWorkload('a/b', { services: { 'a/s': { ports: [{ servicePort: 80, targetPort: 70_000 }] } } }),
    /target_port: 70000 is no port/,
  ],
  'a probe port of 0': [
    wireWorkload('a/b', { extensions: [workloadExtension({ probePorts: [0] })] }),
    /probe_ports\[0\]/,
  ],
  'a reference without a version': [
    wireWorkload('a/b', { extensions: [workloadExtension({ policies: [ref('a/p', '')] })] }),
    /policies\[0\].version is empty/,
  ],
  'a reference of an unknown kind': [
    wireWorkload('a/b', { extensions: [workloadExtension({ policies: [{ ...ref('a/p', '1'), kind: 4 as never }] })] }),
    /policies\[0\].kind: unknown value 4/,
  ],
  'a capability that the agent lacks': [
    wireWorkload('a/b', { extensions: [workloadExtension({ requiredCapabilities: ['teleport'] })] }),
    /requires teleport/,
  ],
  'an extension of ours that is not known': [
    wireWorkload('a/b', { extensions: [{ name: 'aquifer.dev/later' }] }),
    /extension aquifer.dev\/later is not known/,
  ],
  'an extension that stands twice': [
    wireWorkload('a/b', { extensions: [workloadExtension({}), workloadExtension({})] }),
    /stands twice/,
  ],
  'an extension of another type': [
    wireWorkload('a/b', { extensions: [{ ...serviceExtension({}), name: 'aquifer.dev/workload' }] }),
    /is of type/,
  ],
  'an unknown load balancing mode': [
    wireService('a/s', '10.96.0.1', { loadBalancing: { mode: 9 as never } }),
    /mode: unknown/,
  ],
  'a Service port of 0': [wireService('a/s', '10.96.0.1', { ports: [{}] }), /service_port: 0 is no port/],
  'a block as Service address': [
    wireService('a/s', '10.96.0.1', { addresses: [{ address: addressBytes('10.0.0.0'), length: 8 }] }),
    /block of addresses/,
  ],
  'an unknown action': [wirePolicy('a/p', { action: 3 as never }), /action: unknown value 3/],
  'an unknown scope': [wirePolicy('a/p', { scope: 3 as never }), /scope: unknown value 3/],
  'a string match of no kind': [withMatch({ namespaces: [{}] }), /namespaces\[0\]: no match type/],
  'a block of 5 bytes': [withMatch({ sourceIps: [{ address: new Uint8Array(5), length: 8 }] }), /source_ips\[0\]/],
  'a block that is too long': [
    withMatch({ notSourceIps: [{ address: addressBytes('10.0.0.0'), length: 33 }] }),
    /not_source_ips\[0\]/,
  ],
  'a policy port above 65535': [withMatch({ destinationPorts: [70_000] }), /destination_ports\[0\]: 70000/],
  'a service account without namespace': [
    withMatch({ serviceAccounts: [{ serviceAccount: 'a' }] }),
    /namespace is empty/,
  ],
  'an extension of ours in a match': [withMatch({ extensions: [{ name: 'aquifer.dev/match' }] }), /not known/],
  'a Service name without namespace': [
    wireOutbound('a/p', { rules: [{ to: [{ services: ['db'] }] }] }),
    /namespace\/name/,
  ],
  'a star in the middle': [wireOutbound('a/p', { rules: [{ to: [{ services: ['a/d*b'] }] }] }), /elsewhere/],
  'a range the wrong way round': [
    wireOutbound('a/p', { rules: [{ to: [{ portRanges: [{ first: 9, last: 8 }] }] }] }),
    /9 is above 8/,
  ],
};

for (const [what, [wire, reason]] of Object.entries(malformed)) {
  test(`${what} is refused with its field`, (t) => {
    t.throws(() => convert(wire), { instanceOf: Malformed, message: reason });
  });
}

test('a resource under the name of another is refused', (t) => {
  const wires = [wireWorkload('a/b'), wireService('a/s', '10.96.0.1'), wirePolicy('a/p'), wireOutbound('a/p')];
  for (const wire of wires) t.throws(() => convert({ ...wire, name: 'a/other' }), { message: /it holds/ });
  const empty = toBinary(AddressSchema, create(AddressSchema));
  t.throws(() => toAddressResource(empty, 'x'), { message: /neither/ });
});

test('a field of a later version is refused in our messages and in policies, and skipped in workloads', (t) => {
  // Field 1000, varint 1: what a controller one version ahead may send.
  const later = Uint8Array.of(0xc0, 0x3e, 0x01);
  const append = (bytes: Uint8Array) => Uint8Array.from([...bytes, ...later]);
  const appended = (wire: Resource) => ({
    ...wire,
    resource: { ...wire.resource, value: append(wire.resource?.value ?? new Uint8Array()) } as NonNullable<
      Resource['resource']
    >,
  });
  t.throws(() => convert(appended(wirePolicy('a/p'))), { message: /field 1000 is not known/ });
  t.throws(() => convert(appended(wireOutbound('a/p'))), { message: /field 1000 is not known/ });
  t.notThrows(() => convert(appended(wireWorkload('a/b'))));
  const value = append(toBinary(WorkloadExtensionSchema, create(WorkloadExtensionSchema, { podUid: 'u' })));
  const config = { typeUrl: 'type.googleapis.com/aquifer.v1.WorkloadExtension', value };
  const extensions = [{ name: 'aquifer.dev/workload', config }];
  t.throws(() => convert(wireWorkload('a/b', { extensions })), { message: /aquifer.dev\/workload: field 1000/ });
});

test('a match with an extension of somebody else admits nobody and still refuses what it can', (t) => {
  const extensions = [{ name: 'example.com/l7' }];
  const never = aMatch({});
  t.deepEqual(matchOf(withMatch({ namespaces: [exact('a')], extensions }, Action.ALLOW)), never);
  t.deepEqual(
    matchOf(withMatch({ namespaces: [exact('a')], extensions })),
    aMatch({ namespaces: [{ kind: 'exact', value: 'a' }] }),
  );
  t.deepEqual(matchOf(withMatch({ extensions })), aMatch({ destinationPorts: [{ first: 0, last: 65_535 }] }));
});

test('damaged bytes are refused, never thrown over, on 6,000 mutations', (t) => {
  const random = seededRandom(5);
  const wires = [
    ...Object.values(malformed).map(([wire]) => wire),
    withMatch({ namespaces: [exact('a')] }),
    wireOutbound('a/p'),
  ];
  let refused = 0;
  for (let i = 0; i < 6_000; i++) {
    const wire = wires[i % wires.length];
    const bytes = Uint8Array.from(wire?.resource?.value ?? []);
    for (let edits = 0; edits < 1 + random() * 3; edits++)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    if (wire?.resource === undefined) continue;
    try {
      convert({
        ...wire,
        resource: { ...wire.resource, value: bytes.subarray(0, Math.ceil(random() * bytes.length)) },
      });
    } catch (error) {
      t.true(error instanceof Malformed, String(error));
      refused++;
    }
  }
  t.true(refused > 1_000, `${refused} were refused`);
});
