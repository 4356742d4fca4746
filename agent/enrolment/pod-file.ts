import { z } from 'zod';

/** One file of the pod source: a pod that runs on this node, whether or not it is in the mesh. */
export const PodFileSchema = z.object({
  uid: z.string().regex(/^[A-Za-z0-9._-]{1,128}$/),
  namespace: z.string().min(1),
  name: z.string().min(1),
  serviceAccount: z.string().min(1).default('default'),
  node: z.string().default(''),
  /** Path of its network namespace, such as `/run/netns/…`. */
  netns: z.string().min(1),
  /** Path of its cgroup in the v2 hierarchy. */
  cgroup: z.string().min(1),
  addresses: z.array(z.string().min(1)).max(8),
  capabilities: z.array(z.string()).default([]),
  hostNetwork: z.boolean().default(false),
});

export type PodFile = Readonly<z.infer<typeof PodFileSchema>>;
