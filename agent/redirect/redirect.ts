import type { Endpoint, Native, RingBuffer } from '../../native/index.ts';
import { LISTENER_KINDS, type ListenerKind } from '../model/datapath.ts';
import { MeshError } from '../model/errors.ts';
import { type CaptureParts, PodCapture } from './capture.ts';
import { readEvents } from './events.ts';
import { LIMIT, type Tuple } from './layout.ts';
import { loadNode } from './loader.ts';
import { withLock } from './lock.ts';
import type { SharedMaps } from './maps.ts';
import { Objects } from './objects.ts';
import { Pins } from './pins.ts';
import { otherConnectPrograms } from './rewriters.ts';
import { Slots } from './slots.ts';
import type {
  Drift,
  EnrolledPod,
  KernelEvent,
  OlderConnection,
  OlderJudge,
  OlderOutcome,
  OtherConnectProgram,
  PodDescription,
  RedirectConfig,
} from './types.ts';

/** Older connections go on unjudged for so long; a caller judges right after `enrol`. */
const JUDGE_WITHIN_MS = 5_000;
/** Longer than any accept queue holds a connection. */
const REWRITTEN_FOR_NS = 60_000_000_000n;

/** Some milliseconds of work. */
const VERIFY_AT_A_TIME = 8;

/**
 * The kernel capture of one node: loads `bpf/`, keeps its maps and links pinned, and enrols pods. All calls take
 * milliseconds and are synchronous. Needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN (setns).
 */
export class Redirect {
  readonly #native: Native;
  readonly #config: RedirectConfig;
  readonly #objects: Objects;
  readonly #pins: Pins;
  readonly #slots = new Slots(LIMIT.pods);
  readonly #pods = new Map<string, PodCapture>();
  /** Un-enrolled, but connections through the agent live on. */
  readonly #draining = new Set<PodCapture>();
  readonly #unjudged = new Map<string, NodeJS.Timeout>();
  readonly #listeners = new Set<(event: KernelEvent) => void>();
  #maps: SharedMaps | null = null;
  #events: RingBuffer | null = null;
  #rewriting = false;

  constructor(native: Native, config: RedirectConfig) {
    this.#native = native;
    this.#config = config;
    this.#objects = new Objects(native, config.limits.kernelEventsPerSecond);
    this.#pins = new Pins(native, config.bpffs, config.instance);
  }

  /**
   * Loads and attaches the node's programs, or goes on with a predecessor's state in which its programs are replaced in
   * one step each. Throws `MESH_BPF_LOAD` or `MESH_BPF_UNSUPPORTED`, nothing having changed.
   */
  async start(): Promise<{ reused: boolean; others: OtherConnectProgram[] }> {
    const { maps, reused } = loadNode(this.#native, this.#config, this.#objects, this.#pins);
    this.#maps = maps;
    maps.addAgentCgroup(this.#native.cgroupId(this.#config.agentCgroup), process.pid);
    const others = otherConnectPrograms(this.#native, this.#config.cgroupRoot);
    this.#rewriting = others.length > 0;
    // The first load of an object takes several times as long as the next ones: better now than while a pod waits.
    for (const name of ['guard', 'steer'] as const) this.#objects.loadForPod(name, 0, [], maps.all).close();
    return { reused, others };
  }

  /** Captures the pod's TCP from now on. Idempotent. Throws `MESH_ENROL_FAILED`; the pod's TCP is refused then. */
  enrol(pod: PodDescription): EnrolledPod {
    const known = this.#pods.get(pod.uid);
    const capture = known?.describes(pod) ? known : new PodCapture(this.#parts(), pod);
    if (known !== capture) known?.close();
    // Kept also when it fails: `unenrol` must be able to lift the refusal.
    this.#pods.set(pod.uid, capture);
    capture.engage();
    this.#rewriting ||= otherConnectPrograms(this.#native, pod.cgroup).length > 0;
    if (capture.older.size > 0) this.#awaitJudgement(pod.uid);
    return { slot: capture.slot, netns: capture.netns };
  }

  /**
   * Takes the capture away; connections through the agent go on until they end, the routes that carry them staying
   * until `maintain` sees the last one gone. Does nothing for an unknown pod. Throws `NativeError`.
   */
  unenrol(uid: string): void {
    clearTimeout(this.#unjudged.get(uid));
    this.#unjudged.delete(uid);
    const capture = this.#pods.get(uid);
    if (capture === undefined) return;
    capture.release();
    this.#pods.delete(uid);
    if (!capture.finish()) this.#draining.add(capture);
  }

  /** New connections go to these sockets from now on, in one step for each. Throws `NativeError`. */
  setListeners(slot: number, descriptors: Readonly<Record<ListenerKind, number>>): void {
    for (const kind of LISTENER_KINDS) this.#started().setListener(slot, kind, descriptors[kind]);
  }

  /** Ports to which processes of this node may connect past the agent. */
  setProbePorts(slot: number, ports: readonly number[]): void {
    this.#started().setProbePorts(slot, new Set(ports));
  }

  /** How often each verdict was given since the maps were made, by the name of its `aq_reason`. */
  verdicts(): Record<string, number> {
    return this.#started().verdicts();
  }

  /** Refusals, at most `kernelEventsPerSecond` on each CPU. Returns what ends the subscription. */
  onEvent(callback: (event: KernelEvent) => void): () => void {
    this.#listeners.add(callback);
    this.#events ??= readEvents(this.#native, this.#started(), (event) => {
      for (const listener of this.#listeners) listener(event);
    });
    return () => this.#listeners.delete(callback);
  }

  /** Open since before the enrolment, and not refused. */
  olderConnections(uid: string): OlderConnection[] {
    return this.#pods.get(uid)?.older.list() ?? [];
  }

  /** Keeps those for which `judge` is true and closes the others. To be called right after `enrol`, and at each change. */
  judgeOlder(uid: string, judge: OlderJudge): OlderOutcome {
    clearTimeout(this.#unjudged.get(uid));
    this.#unjudged.delete(uid);
    return this.#pods.get(uid)?.older.judge(judge) ?? { kept: 0, closed: 0 };
  }

  /**
   * What the app asked for, when a program after ours changed the address; null when it is what the socket says.
   * `tuple` as the pod sees it: local the app's end, remote what it was connected to. Can be asked once.
   */
  takeAsked(tuple: Tuple): Endpoint | null {
    return this.#rewriting ? this.#started().takeRewritten(tuple) : null;
  }

  /** Pods that a predecessor left captured. */
  pinnedPods(): string[] {
    return this.#pins.podUids();
  }

  /** Takes away what a predecessor left of pods that have ended. Call it when all pods of the node are known. */
  prune(known: ReadonlySet<string>): void {
    const maps = this.#started();
    withLock(this.#native, this.#pins.root, () => {
      for (const uid of this.#pins.podUids()) {
        if (!known.has(uid) && !this.#pods.has(uid)) this.#pins.removePod(uid);
      }
      const used = new Set([...this.#pods.values()].map(({ slot }) => slot));
      // Without a pinned pod nobody enforces what these say.
      const left = new Set(this.#pins.podUids());
      if ([...left].some((uid) => !this.#pods.has(uid))) return;
      for (const { key, slot } of maps.pods()) {
        if (used.has(slot)) continue;
        maps.all.enrolled.delete(key);
        maps.clearSlot(slot);
      }
    });
  }

  /** Compares a pod with what ought to be, and puts back what it can. */
  verify(uid: string): Drift[] {
    return this.#pods.get(uid)?.verify() ?? [];
  }

  /**
   * To be called every few seconds: older connections that have ended, drained pods, and the drift of the next few pods
   * in turn, so that many pods do not stop the loop.
   */
  maintain(): Drift[] {
    this.#started().reapRewritten(process.hrtime.bigint() - REWRITTEN_FOR_NS);
    // One that came while this agent runs: a CNI that was installed or restarted.
    this.#rewriting ||= otherConnectPrograms(this.#native, this.#config.cgroupRoot).length > 0;
    for (const capture of this.#draining) if (capture.finish()) this.#draining.delete(capture);
    const next = [...this.#pods.values()].slice(0, VERIFY_AT_A_TIME);
    // To the end of the line.
    for (const capture of next) {
      this.#pods.delete(capture.pod.uid);
      this.#pods.set(capture.pod.uid, capture);
    }
    return next.flatMap((capture) => {
      try {
        capture.older.reap();
        return capture.verify();
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error);
        return [{ uid: capture.pod.uid, what: 'namespace', detail, mended: false }];
      }
    });
  }

  /** Connections through the agent that outlive the un-enrolment of their pods. */
  get drainingPods(): number {
    return this.#draining.size;
  }

  /**
   * `detach` false: the capture outlives this process; without a successor's listeners it refuses all TCP. True: takes
   * away everything, pods included.
   */
  close(options: { detach: boolean }): void {
    const maps = this.#maps;
    if (maps === null) return;
    this.#maps = null;
    this.#events?.close();
    this.#listeners.clear();
    for (const timer of this.#unjudged.values()) clearTimeout(timer);
    if (options.detach) {
      for (const capture of this.#pods.values()) {
        capture.release();
        if (!capture.finish()) this.#draining.add(capture);
      }
      withLock(this.#native, this.#pins.root, () => this.#pins.removeAll());
    } else {
      maps.removeAgentCgroup(this.#native.cgroupId(this.#config.agentCgroup), process.pid);
      for (const capture of this.#pods.values()) capture.close();
    }
    for (const capture of this.#draining) capture.close();
    maps.close();
  }

  #parts(): CaptureParts {
    const maps = this.#started();
    return {
      native: this.#native,
      objects: this.#objects,
      maps,
      pins: this.#pins,
      olderLimit: this.#config.limits.olderConnectionsPerPod,
      allocateSlot: () => {
        const used = [...maps.pods(), ...this.#pods.values()].map(({ slot }) => slot);
        return this.#slots.allocate(new Set(used));
      },
    };
  }

  /** Nobody judged them: they are closed, for what nobody permits must not go on. */
  #awaitJudgement(uid: string): void {
    clearTimeout(this.#unjudged.get(uid));
    const timer = setTimeout(() => this.judgeOlder(uid, () => false), JUDGE_WITHIN_MS);
    this.#unjudged.set(uid, timer.unref());
  }

  #started(): SharedMaps {
    if (this.#maps !== null) return this.#maps;
    throw new MeshError('MESH_BPF_LOAD', 'the capture has not been started, or has been closed');
  }
}
