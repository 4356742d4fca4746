import type { Endpoint, NetnsFd } from '../../native/index.ts';
import type { Config } from '../config/schema.ts';

/** What the capture needs of the agent's configuration. */
export type RedirectConfig = Pick<Config, 'instance' | 'bpffs' | 'cgroupRoot' | 'agentCgroup' | 'nodeCgroup'> & {
  limits: Pick<Config['limits'], 'olderConnectionsPerPod' | 'kernelEventsPerSecond'>;
};

/** What the capture needs of a pod of this node. */
export interface PodDescription {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Path, such as `/run/netns/…`. */
  readonly netns: string;
  /** Path of its own cgroup in the v2 hierarchy. */
  readonly cgroup: string;
  /** At most `AQ_MAX_ADDRESSES`. */
  readonly addresses: readonly string[];
}

export interface EnrolledPod {
  slot: number;
  /** Owned by `Redirect`; valid until the pod has been un-enrolled and its last captured connection has ended. */
  netns: NetnsFd;
}

/** A connection that was open before its pod was enrolled; `local` is the pod's end. */
export interface OlderConnection {
  local: Endpoint;
  remote: Endpoint;
  /** `inbound`: the pod listens on the local port. */
  direction: 'inbound' | 'outbound';
  inode: number;
}

/** True: goes on. False: closed with SOCK_DESTROY, so that the peer gets a RST and the app ECONNABORTED. */
export type OlderJudge = (connection: OlderConnection) => boolean;

export interface OlderOutcome {
  kept: number;
  closed: number;
}

/** A refusal in the kernel, within the rate; all of them are counted in `verdicts()`. */
export interface KernelEvent {
  /** CLOCK_MONOTONIC. */
  timeNs: bigint;
  /** Name of an `aq_reason`, as in `verdicts()`. */
  reason: string;
  /** Null where the program does not know the pod. */
  slot: number | null;
  netnsCookie: bigint;
  /**
   * As the program saw it: for connect and guard the pod's end, for steer the end that was connected to. Null where the
   * packet could not be read, and at connect, which comes before the port.
   */
  local: Endpoint | null;
  remote: Endpoint | null;
  /** IP protocol number. */
  protocol: number;
}

/** What somebody changed under an enrolled pod. */
export interface Drift {
  uid: string;
  /** `rule`, `route`, `sysctl`, `foreign rule`, `cookie`, `guard`, `steer`. */
  what: string;
  detail: string;
  /** False: it could not be put right, or is not ours to put right. */
  mended: boolean;
}

/** A cgroup/connect program that is not ours. */
export interface OtherConnectProgram {
  family: 4 | 6;
  id: number;
  name: string;
  /** Runs after ours: then the agent still learns what the app asked for. */
  afterOurs: boolean;
}
