/** What the next commit must compute anew, by key; nothing else is looked at. */
export class Due {
  readonly services = new Set<string>();
  /** Whole workloads. */
  readonly pods = new Set<string>();
  /** Only the policies of workloads. */
  readonly refs = new Set<string>();
  /** Workloads that are made of a slice. */
  readonly slices = new Set<string>();
  /** Resources of policies. */
  readonly policies = new Set<string>();

  clear(): void {
    for (const set of [this.services, this.pods, this.refs, this.slices, this.policies]) set.clear();
  }
}
