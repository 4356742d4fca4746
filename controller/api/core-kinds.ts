import { z } from 'zod';
import { objectMeta } from './metadata.ts';
import { podSpec } from './pod.ts';
import { complain, dnsLabel, labels } from './scalars.ts';

/** core/v1 Namespace. */
export const namespace = z.looseObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('Namespace'),
  metadata: objectMeta.extend({ name: dnsLabel }),
});

export type Namespace = z.infer<typeof namespace>;

/** core/v1 ServiceAccount. */
export const serviceAccount = z.looseObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('ServiceAccount'),
  metadata: objectMeta,
});

export type ServiceAccount = z.infer<typeof serviceAccount>;

/** core/v1 Node. */
export const node = z.looseObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('Node'),
  metadata: objectMeta,
  status: z.looseObject({}).nullish(),
});

export type Node = z.infer<typeof node>;

const labelSelector = z.looseObject({ matchLabels: labels.nullish() });

/** apps/v1 Deployment; the index does not read it, the lab makes Pods of it. */
export const deployment = z
  .looseObject({
    apiVersion: z.literal('apps/v1'),
    kind: z.literal('Deployment'),
    metadata: objectMeta,
    spec: z.looseObject({
      replicas: z.number().int().min(0).nullish(),
      selector: labelSelector,
      template: z.looseObject({
        metadata: z.looseObject({ labels: labels.nullish(), annotations: z.record(z.string(), z.string()).nullish() }),
        spec: podSpec,
      }),
    }),
  })
  .superRefine(({ spec }, context) => {
    const own = spec.template.metadata.labels ?? {};
    for (const [key, value] of Object.entries(spec.selector.matchLabels ?? {})) {
      if (own[key] === value) continue;
      const path = ['spec', 'selector', 'matchLabels', key];
      complain(context, `the template's labels do not have ${key}: ${value}`, { path });
    }
  });

export type Deployment = z.infer<typeof deployment>;

/** networking.k8s.io/v1 NetworkPolicy: stored for the lab, which enforces it in place of a CNI. */
export const networkPolicy = z.looseObject({
  apiVersion: z.literal('networking.k8s.io/v1'),
  kind: z.literal('NetworkPolicy'),
  metadata: objectMeta,
  spec: z.looseObject({
    podSelector: labelSelector,
    policyTypes: z.array(z.enum(['Ingress', 'Egress'])).optional(),
    ingress: z.array(z.looseObject({})).nullish(),
    egress: z.array(z.looseObject({})).nullish(),
  }),
});

export type NetworkPolicy = z.infer<typeof networkPolicy>;
