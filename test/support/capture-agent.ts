/**
 * The least agent that the capture can serve: accepts, refuses what it is told to refuse, relays the rest. Runs as a
 * child in the agent's cgroup, driven over IPC by `capture.ts`.
 */
import { checkAccepted } from '../../agent/accept/accepted.ts';
import { AGENT_PORTS, type LocalPod } from '../../agent/model/connection.ts';
import { LISTENER_KINDS, type ListenerKind, MARK } from '../../agent/model/datapath.ts';
import { Redirect } from '../../agent/redirect/redirect.ts';
import type { PodDescription, RedirectConfig } from '../../agent/redirect/types.ts';
import { type Accepted, type Endpoint, type Listener, loadNative } from '../../native/index.ts';
import type { AcceptRecord, Request } from './capture.ts';

const native = loadNative();
const redirect = new Redirect(native, JSON.parse(process.argv[2] ?? '') as RedirectConfig);
const pods = new Map<string, { pod: LocalPod; listeners: Listener[]; ports: Set<number> }>();
const accepted: AcceptRecord[] = [];
let denied = new Set<string>();

const VERBS: Record<Request['verb'], (argument: never) => unknown> = {
  start: async () => redirect.start(),
  enrol: (description: PodDescription) => {
    const startedMs = performance.now();
    const { slot, netns } = redirect.enrol(description);
    const { uid, namespace, name, addresses } = description;
    const pod = { uid, namespace, name, serviceAccount: 'default', addresses, netns, slot };
    pods.set(uid, { pod, listeners: [], ports: new Set(Object.values(AGENT_PORTS)) });
    listen(uid);
    return { slot, ms: performance.now() - startedMs };
  },
  unenrol: (uid: string) => {
    const startedMs = performance.now();
    redirect.unenrol(uid);
    closeListeners(uid);
    pods.delete(uid);
    return { ms: performance.now() - startedMs };
  },
  closeListeners: (uid: string) => closeListeners(uid),
  listen: (uid: string) => listen(uid),
  /** Destination addresses that nobody may reach. */
  deny: (addresses: string[]) => {
    denied = new Set(addresses);
  },
  probePorts: ({ uid, ports }: { uid: string; ports: number[] }) => redirect.setProbePorts(podOf(uid).pod.slot, ports),
  accepted: () => accepted,
  verdicts: () => redirect.verdicts(),
  older: (uid: string) => redirect.olderConnections(uid),
  judgeOlder: ({ uid, refuse }: { uid: string; refuse: string[] }) =>
    redirect.judgeOlder(uid, ({ remote }) => !refuse.includes(remote.address)),
  verify: (uid: string) => redirect.verify(uid),
  maintain: () => ({ drifts: redirect.maintain(), draining: redirect.drainingPods }),
  close: (detach: boolean) => redirect.close({ detach }),
};

function podOf(uid: string) {
  const entry = pods.get(uid);
  if (entry === undefined) throw new Error(`no pod ${uid}`);
  return entry;
}

function listen(uid: string): void {
  const entry = podOf(uid);
  const descriptors = {} as Record<ListenerKind, number>;
  for (const kind of LISTENER_KINDS) {
    const listener = open(uid, kind, AGENT_PORTS[kind]);
    entry.listeners.push(listener);
    entry.ports.add(listener.port);
    descriptors[kind] = listener.fd;
  }
  redirect.setListeners(entry.pod.slot, descriptors);
}

function open(uid: string, kind: ListenerKind, port: number): Listener {
  const { netns } = podOf(uid).pod;
  const options = { netns, address: '::', port, backlog: 4, transparent: true };
  const onError = (error: Error): void => {
    process.stderr.write(`${error.message}\n`);
  };
  try {
    return native.listen(options, 8, (each) => onAccept(uid, kind, each), onError);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || port === 0) throw error;
    return open(uid, kind, 0);
  }
}

function closeListeners(uid: string): void {
  const entry = podOf(uid);
  for (const listener of entry.listeners.splice(0)) listener.close();
}

function onAccept(uid: string, listener: ListenerKind, connection: Accepted): void {
  const { pod, ports } = podOf(uid);
  const { fd, local, remote, mark } = connection;
  const asked = listener === 'outbound' ? redirect.takeAsked({ local: remote, remote: local }) : null;
  const refusal = checkAccepted(connection, listener, ports) ?? (denied.has(local.address) ? 'policy_denied' : null);
  accepted.push({ pod: pod.name, listener, local, remote, mark, refusal, asked });
  if (refusal !== null) {
    native.closeSocket(fd, true);
    return;
  }
  const inbound = listener === 'inbound';
  const local2 = [...pods.values()].some((each) => each.pod.addresses.includes(local.address));
  const from: Endpoint | null = inbound ? { address: remote.address, port: 0 } : null;
  const upstreamMark = inbound ? MARK.toApp : local2 ? MARK.direct : 0;
  const options = { netns: pod.netns, to: local, from, transparent: inbound, mark: upstreamMark, timeoutMs: 2_000 };
  native.connect(options, (error, upstream) => {
    if (error !== null) native.closeSocket(fd, true);
    else native.relay(fd, upstream, { bufferBytes: 65_536, idleTimeoutMs: 0 }, () => {});
  });
}

process.on('message', async ({ id, verb, argument }: Request) => {
  try {
    process.send?.({ id, result: (await VERBS[verb](argument as never)) ?? null });
  } catch (error) {
    const { message, code, hint } = error as { message: string; code?: string; hint?: string };
    process.send?.({ id, error: { message, code, hint } });
  }
});
process.on('disconnect', () => process.exit());
