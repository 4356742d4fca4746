import { z } from 'zod';
import { strictObjectMeta } from './metadata.ts';
import { complain, dnsSubdomain } from './scalars.ts';

/** aquifer.dev/v1alpha1 MeshConfig: one, named `default`. Only what is honoured stands in it. */
export const meshConfig = z
  .strictObject({
    apiVersion: z.literal('aquifer.dev/v1alpha1'),
    kind: z.literal('MeshConfig'),
    metadata: strictObjectMeta,
    spec: z
      .strictObject({
        /** First part of every identity; absent: the controller's own setting. */
        trustDomain: dnsSubdomain.optional(),
        /** What becomes of a connection that no policy is about. */
        defaultAction: z
          .literal('Allow', { error: 'only Allow so far; refuse by an L4Policy of the root namespace with no rules' })
          .optional(),
      })
      .default({}),
    status: z.unknown().optional(),
  })
  .superRefine(({ metadata }, context) => {
    if (metadata.name === 'default') return;
    complain(context, 'there is one MeshConfig, named default', { path: ['metadata', 'name'] });
  });

export type MeshConfig = z.infer<typeof meshConfig>;
