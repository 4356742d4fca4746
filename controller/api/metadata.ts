import { z } from 'zod';
import { complain, dnsLabel, dnsSubdomain, labels } from './scalars.ts';

/** Our own label; Istio's is honoured behind a setting. */
export const DATAPLANE_MODE = 'aquifer.dev/dataplane-mode';
export const ISTIO_DATAPLANE_MODE = 'istio.io/dataplane-mode';

/** A mistyped mode would leave pods outside the mesh without a word. */
const objectLabels = labels.superRefine((value, context) => {
  const mode = value[DATAPLANE_MODE];
  if (mode !== undefined && mode !== 'ambient' && mode !== 'none') {
    complain(context, `"${mode}" is not a dataplane mode`, { path: [DATAPLANE_MODE], hint: 'ambient or none' });
  }
});

const ownerReference = z.looseObject({
  kind: z.string(),
  name: z.string(),
  controller: z.boolean().optional(),
});

/** What we read of ObjectMeta; the rest is kept. */
const fields = {
  name: dnsSubdomain,
  namespace: dnsLabel.optional(),
  labels: objectLabels.nullish(),
  annotations: z.record(z.string(), z.string()).nullish(),
  uid: z.string().optional(),
  generation: z.number().int().optional(),
  deletionTimestamp: z.string().nullish(),
  ownerReferences: z.array(ownerReference).nullish(),
};

/** Metadata of Kubernetes kinds. */
export const objectMeta = z.looseObject(fields);

/** Metadata of our own kinds: a mistyped key is an error here, too. */
export const strictObjectMeta = z.strictObject({
  ...fields,
  creationTimestamp: z.unknown().optional(),
  resourceVersion: z.string().optional(),
  managedFields: z.unknown().optional(),
  finalizers: z.array(z.string()).optional(),
  selfLink: z.string().optional(),
});

export type ObjectMeta = z.infer<typeof objectMeta>;
