import { z } from 'zod';
import { objectMeta } from './metadata.ts';
import { complain, dnsLabel, dnsSubdomain, ipAddress, labels, portNumber } from './scalars.ts';

const clusterIp = z.union([z.literal('None'), z.literal(''), ipAddress]);
const ipFamily = z.enum(['IPv4', 'IPv6']);

const servicePort = z.looseObject({
  name: z.string().optional(),
  port: portNumber,
  targetPort: z.union([portNumber, z.string()]).optional(),
  protocol: z.enum(['TCP', 'UDP', 'SCTP']).optional(),
  appProtocol: z.string().nullish(),
});

const serviceSpec = z.looseObject({
  type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']).optional(),
  selector: labels.nullish(),
  clusterIP: clusterIp.optional(),
  clusterIPs: z.array(clusterIp).nullish(),
  externalIPs: z.array(ipAddress).nullish(),
  externalName: dnsSubdomain.optional(),
  ipFamilies: z.array(ipFamily).nullish(),
  ports: z.array(servicePort).nullish(),
  internalTrafficPolicy: z.enum(['Cluster', 'Local']).nullish(),
  trafficDistribution: z.enum(['PreferClose', 'PreferSameZone', 'PreferSameNode']).nullish(),
  publishNotReadyAddresses: z.boolean().optional(),
  sessionAffinity: z.enum(['None', 'ClientIP']).optional(),
  sessionAffinityConfig: z
    .looseObject({
      clientIP: z.looseObject({ timeoutSeconds: z.number().int().min(1).max(86_400).optional() }).nullish(),
    })
    .nullish(),
});

/** core/v1 Service. */
export const service = z
  .looseObject({
    apiVersion: z.literal('v1'),
    kind: z.literal('Service'),
    metadata: objectMeta.extend({ name: dnsLabel }),
    spec: serviceSpec,
    status: z
      .looseObject({
        loadBalancer: z
          .looseObject({
            ingress: z.array(z.looseObject({ ip: ipAddress.optional(), ipMode: z.string().nullish() })).nullish(),
          })
          .nullish(),
      })
      .nullish(),
  })
  .superRefine(({ spec }, context) => {
    const ports = spec.ports ?? [];
    const seen = new Map<string, number>();
    for (const [at, { name, port, protocol = 'TCP' }] of ports.entries()) {
      const path = ['spec', 'ports', at];
      if (ports.length > 1 && (name ?? '') === '') {
        complain(context, 'a Service with several ports must name each of them', { path: [...path, 'name'] });
      }
      for (const key of [`${protocol} ${port}`, name === undefined ? '' : `name ${name}`]) {
        const other = key === '' ? undefined : seen.get(key);
        if (other !== undefined) complain(context, `port ${port} repeats spec.ports[${other}]`, { path });
        if (key !== '') seen.set(key, at);
      }
    }
    if (spec.type === 'ExternalName' && spec.externalName === undefined) {
      complain(context, 'an ExternalName Service needs externalName', { path: ['spec', 'externalName'] });
    }
  });

export type Service = z.infer<typeof service>;

/** discovery.k8s.io/v1 EndpointSlice. */
export const endpointSlice = z
  .looseObject({
    apiVersion: z.literal('discovery.k8s.io/v1'),
    kind: z.literal('EndpointSlice'),
    metadata: objectMeta,
    addressType: z.enum(['IPv4', 'IPv6', 'FQDN']),
    endpoints: z
      .array(
        z.looseObject({
          addresses: z.array(z.string()).min(1).max(100),
          conditions: z
            .looseObject({
              ready: z.boolean().nullish(),
              serving: z.boolean().nullish(),
              terminating: z.boolean().nullish(),
            })
            .nullish(),
          targetRef: z
            .looseObject({ kind: z.string().optional(), name: z.string().optional(), namespace: z.string().optional() })
            .nullish(),
          nodeName: z.string().nullish(),
          zone: z.string().nullish(),
          hints: z
            .looseObject({
              forZones: z.array(z.looseObject({ name: z.string() })).nullish(),
              forNodes: z.array(z.looseObject({ name: z.string() })).nullish(),
            })
            .nullish(),
        }),
      )
      .max(1000)
      .nullable(),
    ports: z
      .array(
        z.looseObject({
          name: z.string().nullish(),
          port: portNumber.nullish(),
          protocol: z.enum(['TCP', 'UDP', 'SCTP']).nullish(),
        }),
      )
      .nullish(),
  })
  .superRefine((slice, context) => {
    if (slice.addressType === 'FQDN') return;
    for (const [at, endpoint] of (slice.endpoints ?? []).entries()) {
      for (const [of, address] of endpoint.addresses.entries()) {
        const result = ipAddress.safeParse(address);
        const fits = result.success && address.includes(':') === (slice.addressType === 'IPv6');
        if (!fits) {
          const path = ['endpoints', at, 'addresses', of];
          complain(context, `"${address}" is not an ${slice.addressType} address`, { path });
        }
      }
    }
  });

export type EndpointSlice = z.infer<typeof endpointSlice>;
