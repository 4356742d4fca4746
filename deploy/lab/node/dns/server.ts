/** The node's DNS server on the Service address, UDP and TCP. */
import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import {
  AUTHORITATIVE_ANSWER,
  type DecodedPacket,
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from 'dns-packet';
import { namespaceOf, SERVICE_NAME_LABEL } from '../../cluster/objects.ts';
import type { Store } from '../../cluster/store.ts';
import { answer, type ZoneView } from './zone.ts';

const PORT = 53;
/** RFC 1035 §4.2.1, when the client says nothing of EDNS. */
const PLAIN_UDP_BYTES = 512;
/** DNS flag day 2020: larger UDP answers risk fragments. */
const LARGEST_UDP_BYTES = 1232;
const TCP_IDLE_MS = 10_000;
const TCP_CONNECTIONS = 256;
const RCODES = { NOERROR: 0, FORMERR: 1, NOTIMP: 4, NXDOMAIN: 3 } as const;

/** Zone data out of the store of objects. */
export function zoneOf(store: Store): ZoneView {
  return {
    service: (namespace, name) => store.get('Service', namespace, name),
    services: () => store.list('Service'),
    slices: (namespace, name) =>
      store
        .list('EndpointSlice')
        .filter((slice) => namespaceOf(slice) === namespace && slice.metadata.labels?.[SERVICE_NAME_LABEL] === name),
    hasNamespace: (name) =>
      store.get('Namespace', '', name) !== undefined ||
      store.list('Service').some((service) => namespaceOf(service) === name),
    allSlices: () => store.list('EndpointSlice'),
  };
}

/** The reply to one query, or `null` when it is no query at all. `udp`: cut to what the client can take. */
export function reply(query: Buffer, view: ZoneView, udp: boolean): Buffer | null {
  let packet: DecodedPacket;
  try {
    packet = decode(query);
  } catch {
    return null;
  }
  if (packet.type !== 'query') return null;
  const [question] = packet.questions ?? [];
  const edns = packet.additionals?.find((record) => record.type === 'OPT');
  const opt =
    edns === undefined
      ? []
      : [
          {
            type: 'OPT' as const,
            name: '.' as const,
            udpPayloadSize: LARGEST_UDP_BYTES,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ];
  const flags = AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | ((packet.flags ?? 0) & RECURSION_DESIRED);
  const base = { type: 'response' as const, id: packet.id ?? 0, questions: packet.questions ?? [], additionals: opt };
  if (question === undefined || packet.questions?.length !== 1)
    return encode({ ...base, flags: flags | RCODES.FORMERR });
  const { rcode, answers } = answer(question, view);
  const whole = encode({ ...base, flags: flags | RCODES[rcode], answers });
  const limit = edns?.type === 'OPT' ? Math.min(edns.udpPayloadSize, LARGEST_UDP_BYTES) : PLAIN_UDP_BYTES;
  if (!udp || whole.length <= Math.max(limit, PLAIN_UDP_BYTES)) return whole;
  return encode({ ...base, flags: flags | RCODES[rcode] | TRUNCATED_RESPONSE, answers: [] });
}

/** Listens on each address; throws when one cannot be bound. Returns how to stop. */
export async function serveDns(addresses: readonly string[], store: Store): Promise<() => void> {
  const view = zoneOf(store);
  const stops = await Promise.all(addresses.flatMap((address) => [serveUdp(address, view), serveTcp(address, view)]));
  return () => {
    for (const stop of stops) stop();
  };
}

function serveUdp(address: string, view: ZoneView): Promise<() => void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (message, from) => {
    const answered = reply(message, view, true);
    if (answered !== null) socket.send(answered, from.port, from.address);
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(PORT, address, () => {
      socket.off('error', reject);
      // One client that went away must not end the server.
      socket.on('error', () => {});
      resolve(() => socket.close());
    });
  });
}

function serveTcp(address: string, view: ZoneView): Promise<() => void> {
  const server = createServer((socket) => serveStream(socket, view));
  server.maxConnections = TCP_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(PORT, address, () => resolve(() => server.close()));
  });
}

/** RFC 7766: each message behind its length; several in one connection. */
function serveStream(socket: Socket, view: ZoneView): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const length = pending.readUInt16BE(0);
      const answered = reply(pending.subarray(2, 2 + length), view, false);
      pending = pending.subarray(2 + length);
      if (answered === null) {
        socket.destroy();
        return;
      }
      const head = Buffer.alloc(2);
      head.writeUInt16BE(answered.length);
      socket.write(Buffer.concat([head, answered]));
    }
  });
}
