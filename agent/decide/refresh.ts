import type { ConnectionFacts, Reason } from '../model/connection.ts';
import { sameIdentity } from '../model/identity.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Workload } from '../model/workload.ts';

export type Refreshed = { facts: ConnectionFacts; gone: null } | { facts: null; gone: Reason };

/**
 * The facts of a live connection as a new snapshot has them, for judging it again: labels, policies and Services are
 * the current ones. `gone` when it is no longer the connection that was allowed: its destination was removed or its
 * address went to another pod (`endpoint_removed`), or the source runs under another identity (`identity_changed`).
 */
export function refreshFacts(facts: ConnectionFacts, snapshot: Snapshot): Refreshed {
  const source = current(facts.source, snapshot);
  const destination = current(facts.destination, snapshot);
  if (facts.destination !== null && (destination === null || !samePod(facts.destination, destination))) {
    return { facts: null, gone: 'endpoint_removed' };
  }
  if (source !== null && facts.source !== null && !samePod(facts.source, source)) {
    return { facts: null, gone: 'identity_changed' };
  }
  const attested = facts.sourceIdentity;
  if (attested !== null && source !== null && !sameIdentity(attested, source.identity)) {
    return { facts: null, gone: 'identity_changed' };
  }
  const refreshed = {
    ...facts,
    // A source that was removed is judged as it was last known until its sockets go.
    source: source ?? facts.source,
    sourceIdentity: attested === null ? null : (source?.identity ?? attested),
    destination: destination ?? snapshot.workloadByAddress.get(facts.destinationAddress) ?? null,
    service: facts.service === null ? null : (snapshot.services.get(facts.service.key) ?? facts.service),
  };
  return { facts: refreshed, gone: null };
}

function current(workload: Workload | null, snapshot: Snapshot): Workload | null {
  return workload === null ? null : (snapshot.workloads.get(workload.uid) ?? null);
}

/** A StatefulSet's pod comes back under its name; an unknown uid is no proof of another pod. */
function samePod(before: Workload, now: Workload): boolean {
  return before.podUid === now.podUid || before.podUid === '' || now.podUid === '';
}
