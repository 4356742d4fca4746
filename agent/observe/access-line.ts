import { formatSpiffe } from '../model/identity.ts';
import type { Workload } from '../model/workload.ts';
import { addressText, destinationAddress, destinationAttested, errorText } from './fields.ts';
import type { ConnectionRecord } from './record.ts';

/** Built once for each workload object: the part of a line that does not change from connection to connection. */
class Fragments {
  readonly #cache = new WeakMap<Workload, string>();
  readonly #end: 'src' | 'dst';
  readonly #identity: boolean;

  constructor(end: 'src' | 'dst', identity: boolean) {
    this.#end = end;
    this.#identity = identity;
  }

  of(workload: Workload | null): string {
    if (workload === null) return '';
    const known = this.#cache.get(workload);
    if (known !== undefined) return known;
    const { name, namespace, clusterId } = workload;
    const identity = this.#identity ? ` ${this.#end}.identity="${formatSpiffe(workload.identity)}"` : '';
    const end = this.#end;
    const text = ` ${end}.workload="${name}" ${end}.namespace="${namespace}"${identity} ${end}.cluster="${clusterId}"`;
    this.#cache.set(workload, text);
    return text;
  }
}

const source = new Fragments('src', false);
const sourceAttested = new Fragments('src', true);
const destination = new Fragments('dst', false);
const destinationKnown = new Fragments('dst', true);

/** One text line, ztunnel's fields in ztunnel's order and then ours. `time` is RFC 3339. Ends with a newline. */
export function accessLine(
  record: ConnectionRecord,
  time: string,
  durationMs: number,
  sentBytes: number,
  receivedBytes: number,
): string {
  const { facts } = record;
  const refused = !record.wasOpen;
  const error = errorText(record);
  return (
    `${time}\t${error === null ? 'info' : refused ? 'warn' : 'error'}\taccess\tconnection ${refused ? 'failed' : 'complete'}` +
    `\tsrc.addr=${addressText(record.source.address, record.source.port)}` +
    (facts.sourceIdentity === null ? source : sourceAttested).of(facts.source) +
    ` dst.addr=${destinationAddress(record)}` +
    (facts.service === null ? '' : ` dst.service="${facts.service.hostname}"`) +
    (destinationAttested(record) ? destinationKnown : destination).of(facts.destination) +
    ` direction="${record.direction}" bytes_sent=${sentBytes} bytes_recv=${receivedBytes}` +
    ` duration="${Math.round(durationMs)}ms"` +
    (error === null ? '' : ` error=${JSON.stringify(error)}`) +
    ` attested=${record.attestation} path=${record.path}` +
    (record.policy === null ? '' : ` policy="${record.policy}"`) +
    (record.audited.length === 0 ? '' : ` audit="${record.audited.join(',')}"`) +
    ` reason=${record.reason}\n`
  );
}
