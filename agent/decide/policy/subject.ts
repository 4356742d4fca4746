import { addressValue } from '../../model/address.ts';
import type { ConnectionFacts } from '../../model/connection.ts';
import { formatPrincipal } from '../../model/identity.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { Identity, Service, Workload } from '../../model/workload.ts';

interface IdentityText {
  principal: string;
  account: string;
}

const texts = new WeakMap<Identity, IdentityText>();

/** What a connection is to the matches: computed when first asked for, since most policies ask for little. */
export class Subject {
  readonly facts: ConnectionFacts;
  readonly #snapshot: Snapshot;
  #source: number | bigint | null | undefined;
  #destination: number | bigint | null | undefined;
  #asked: readonly (number | bigint)[] | undefined;
  #services: readonly Service[] | undefined;

  constructor(facts: ConnectionFacts, snapshot: Snapshot) {
    this.facts = facts;
    this.#snapshot = snapshot;
  }

  /** Attested; null: unknown, which satisfies no positive field of identity and every negative one, as in Istio. */
  get identity(): Identity | null {
    return this.facts.sourceIdentity;
  }

  /** `<trust domain>/ns/<namespace>/sa/<service account>`, empty when unknown. */
  get principal(): string {
    const { identity } = this;
    return identity === null ? '' : textOf(identity).principal;
  }

  /** `namespace/service account`, empty when unknown. */
  get account(): string {
    const { identity } = this;
    return identity === null ? '' : textOf(identity).account;
  }

  get sourceAddress(): number | bigint | null {
    if (this.#source === undefined) this.#source = addressValue(this.facts.sourceAddress);
    return this.#source;
  }

  /** Where the bytes go. */
  get destinationAddress(): number | bigint | null {
    if (this.#destination === undefined) this.#destination = addressValue(this.facts.destinationAddress);
    return this.#destination;
  }

  /** Where the bytes go, and the addresses of the Service that was asked for. */
  get askedAddresses(): readonly (number | bigint)[] {
    this.#asked ??= [this.destinationAddress, ...(this.facts.service?.addresses ?? []).map(addressValue)].filter(
      (value) => value !== null,
    );
    return this.#asked;
  }

  /** The port that the bytes go to, and the Service port that was asked for. */
  get askedPorts(): readonly number[] {
    const { service, servicePort, destinationPort } = this.facts;
    return service === null || servicePort === destinationPort ? [destinationPort] : [destinationPort, servicePort];
  }

  /**
   * The Service asked for and every other one that has the destination as an endpoint on this port: so that neither an
   * endpoint's own address nor a second Service is a way around a policy.
   */
  get services(): readonly Service[] {
    this.#services ??= reachedServices(this.facts, this.#snapshot);
    return this.#services;
  }
}

function textOf(identity: Identity): IdentityText {
  return texts.getOrInsertComputed(identity, () => ({
    principal: formatPrincipal(identity),
    account: accountOf(identity.namespace, identity.serviceAccount),
  }));
}

/** The key of a service account in sets. */
export function accountOf(namespace: string, serviceAccount: string): string {
  return `${namespace}/${serviceAccount}`;
}

function reachedServices(facts: ConnectionFacts, snapshot: Snapshot): readonly Service[] {
  const found = facts.service === null ? [] : [facts.service];
  const { destination } = facts;
  if (destination === null) return found;
  for (const key of destination.services.keys()) {
    const service = snapshot.services.get(key);
    if (service === undefined || key === facts.service?.key) continue;
    if (service.ports.size === 0 || servesOn(service, destination, facts.destinationPort)) found.push(service);
  }
  return found;
}

function servesOn(service: Service, workload: Workload, port: number): boolean {
  const own = workload.services.get(service.key);
  for (const { port: servicePort, targetPort } of service.ports.values()) {
    if ((own?.get(servicePort) ?? targetPort) === port) return true;
  }
  return false;
}
