/** What the index must know of the mesh; trust domain and the like come from the controller's config. */
export interface IndexOptions {
  clusterId: string;
  network: string;
  trustDomain: string;
  clusterDomain: string;
  rootNamespace: string;
  honourIstioLabel: boolean;
}
