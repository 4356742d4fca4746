import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BpfCollection, BpfLink, BpfProgram, Native, NativeError, NetnsFd } from '../../native/index.ts';
import { canonicalAddress } from '../model/address.ts';
import { MeshError } from '../model/errors.ts';
import { hintFor, type Step } from './hints.ts';
import { LIMIT } from './layout.ts';
import { withLock } from './lock.ts';
import type { SharedMaps } from './maps.ts';
import type { Objects } from './objects.ts';
import { OlderTable } from './older.ts';
import type { Pins } from './pins.ts';
import { PodRoutes } from './routes.ts';
import type { Drift, PodDescription } from './types.ts';

export interface CaptureParts {
  native: Native;
  objects: Objects;
  maps: SharedMaps;
  pins: Pins;
  /** Chosen anew when the pod has none; throws `MESH_LIMIT`. */
  allocateSlot: () => number;
  olderLimit: number;
}

/**
 * The capture of one pod. Each step leaves the pod more closed than before, and a failure leaves it refused: the
 * cookie says HELD, guard and steer stay where they could be attached, and a new `engage` goes on from there.
 */
export class PodCapture {
  readonly pod: PodDescription;
  readonly netns: NetnsFd;
  readonly slot: number;
  readonly older: OlderTable;
  /** Older connections that were closed because there were too many, or because their handshake was under way. */
  olderClosed = 0;
  readonly #parts: CaptureParts;
  readonly #cookie: bigint;
  readonly #routes: PodRoutes;
  readonly #addresses: readonly string[];
  #step: Step = 'namespace';

  /** Throws `MESH_ENROL_FAILED` when the namespace cannot be entered; nothing has changed then. */
  constructor(parts: CaptureParts, pod: PodDescription) {
    this.#parts = parts;
    this.pod = pod;
    const { native, maps } = parts;
    try {
      this.netns = native.openNetns(pod.netns);
    } catch (cause) {
      throw this.#failure(cause);
    }
    try {
      this.#cookie = native.netnsCookie(this.netns);
      this.#addresses = this.#checkedAddresses();
      this.slot = maps.pod(this.#cookie)?.slot ?? parts.allocateSlot();
    } catch (cause) {
      native.closeSocket(this.netns, false);
      throw this.#failure(cause);
    }
    this.#routes = new PodRoutes(native, this.netns, this.#addresses);
    this.older = new OlderTable(native, maps, this.netns, this.slot, this.#addresses);
  }

  describes({ netns, cgroup, addresses }: PodDescription): boolean {
    return netns === this.pod.netns && cgroup === this.pod.cgroup && addresses.join() === this.pod.addresses.join();
  }

  /** Idempotent; finds again what a predecessor pinned. Throws `MESH_ENROL_FAILED`, the pod being refused then. */
  engage(): void {
    const { native, pins } = this.#parts;
    const complete = this.#isComplete();
    try {
      withLock(native, pins.root, () => this.#engage(complete));
    } catch (cause) {
      const failure = this.#failure(cause);
      // What a predecessor enforces goes on: its programs are no less strict than these.
      if (!complete) this.#refuseAll();
      throw failure;
    }
  }

  /**
   * The other way round, but guard before the routes: connections that run through the agent go on until they end, and
   * need both the routes and a guard that is gone. `finish` takes the routes away once nothing needs them.
   */
  release(): void {
    const { native, maps, pins } = this.#parts;
    withLock(native, pins.root, () => {
      maps.deletePod(this.#cookie);
      for (const name of ['steer', 'guard_ingress', 'guard_egress']) this.#detach(name);
      maps.clearSlot(this.slot);
      pins.removePod(this.pod.uid);
    });
  }

  /** True when the routes are gone and the namespace has been let go. */
  finish(): boolean {
    try {
      if (this.older.capturedCount() > 0) return false;
      this.#routes.remove();
    } catch {
      // The namespace is being taken down, and its routes with it.
    }
    this.close();
    return true;
  }

  /** Lets go of the namespace; the kernel's state stays. */
  close(): void {
    this.#parts.native.closeSocket(this.netns, false);
  }

  /** Compares with what ought to be and puts back what it can. Throws `NativeError` when the namespace cannot be read. */
  verify(): Drift[] {
    const { maps } = this.#parts;
    const drifts: Drift[] = this.#routes.verify().map((drift) => ({ uid: this.pod.uid, ...drift }));
    const entry = maps.pod(this.#cookie);
    if (entry === null || entry.flags !== 0) {
      maps.setPod(this.#cookie, this.slot, false);
      drifts.push({ uid: this.pod.uid, what: 'cookie', detail: 'not in `enrolled`', mended: true });
    }
    for (const [what, name] of [
      ['guard', 'guard_egress'],
      ['guard', 'guard_ingress'],
      ['steer', 'steer'],
    ] as const) {
      if (this.#isAttached(name)) continue;
      drifts.push({ uid: this.pod.uid, what, detail: `${name} was detached`, mended: this.#tryAttach(what) });
    }
    return drifts;
  }

  #engage(complete: boolean): void {
    const { native, maps, objects, pins, olderLimit } = this.#parts;
    this.#step = 'programs';
    const version = objects.fingerprint(this.slot, this.#addresses);
    if (complete) this.older.load();
    // After a restart of the same version, each pod is refused until its listeners are back: no time for loading.
    if (complete && pins.readVersion(this.pod.uid) === version) {
      this.#step = 'rules and routes';
      this.#routes.apply();
      return;
    }
    const guard = objects.loadForPod('guard', this.slot, this.#addresses, maps.all);
    const steer = objects.loadForPod('steer', this.slot, this.#addresses, maps.all);
    try {
      mkdirSync(pins.pod(this.pod.uid), { recursive: true, mode: 0o700 });
      if (!complete) maps.clearSlot(this.slot);
      this.#step = 'rules and routes';
      this.#routes.apply();
      this.#step = 'steer';
      this.#attach('steer', steer.program('aq_steer'), (program) => native.attachNetns(this.netns, program));
      this.#step = 'cookie';
      maps.setPod(this.#cookie, this.slot, false);
      // From here on what the pod opens is captured; so whatever is not, and is listed now, was there before.
      this.#step = 'older connections';
      if (!complete) this.older.admitAll(olderLimit);
      this.#step = 'guard';
      this.#attachGuard((name) => guard.program(name));
      this.#step = 'older connections';
      if (!complete) this.olderClosed += this.older.closeTheRest(olderLimit);
      pins.writeVersion(this.pod.uid, version);
    } finally {
      steer.close();
      guard.close();
    }
  }

  #attachGuard(program: (name: string) => BpfProgram): void {
    const { native } = this.#parts;
    const { cgroup } = this.pod;
    this.#attach('guard_egress', program('aq_guard_egress'), (each) => native.attachCgroup(cgroup, each, 'egress'));
    this.#attach('guard_ingress', program('aq_guard_ingress'), (each) => native.attachCgroup(cgroup, each, 'ingress'));
  }

  /** Puts the program in place of a predecessor's in one step, or attaches and pins it. */
  #attach(name: string, program: BpfProgram, attach: (program: BpfProgram) => BpfLink): void {
    const path = this.#pin(name);
    try {
      const known = existsSync(path) ? this.#parts.native.openPinnedLink(path) : null;
      try {
        known?.update(program);
        if (known !== null) return;
      } catch (error) {
        // Its cgroup or namespace is gone, and another one has come.
        if ((error as NativeError).code !== 'ENOLINK') throw error;
        known?.unpin();
      } finally {
        known?.close();
      }
      const link = attach(program);
      try {
        link.pin(path);
      } finally {
        link.close();
      }
    } finally {
      program.close();
    }
  }

  #tryAttach(what: 'guard' | 'steer'): boolean {
    const { native, objects, maps } = this.#parts;
    let collection: BpfCollection | null = null;
    try {
      collection = objects.loadForPod(what, this.slot, this.#addresses, maps.all);
      const loaded = collection;
      if (what === 'guard') this.#attachGuard((name) => loaded.program(name));
      else this.#attach('steer', loaded.program('aq_steer'), (each) => native.attachNetns(this.netns, each));
      return true;
    } catch {
      return false;
    } finally {
      collection?.close();
    }
  }

  /** Nothing may pass that is not enforced: connect refuses, and steer without listeners drops what comes in. */
  #refuseAll(): void {
    const { maps, pins } = this.#parts;
    try {
      maps.setPod(this.#cookie, this.slot, true);
      mkdirSync(pins.pod(this.pod.uid), { recursive: true, mode: 0o700 });
    } catch {
      // `enrolled` is full, say: guard and steer still refuse.
    }
    for (const what of ['guard', 'steer'] as const) this.#tryAttach(what);
  }

  #isComplete(): boolean {
    if (this.#parts.maps.pod(this.#cookie)?.flags !== 0) return false;
    return ['guard_egress', 'guard_ingress', 'steer'].every((name) => this.#isAttached(name));
  }

  #isAttached(name: string): boolean {
    const path = this.#pin(name);
    if (!existsSync(path)) return false;
    const link = this.#parts.native.openPinnedLink(path);
    try {
      return link.info.attached;
    } finally {
      link.close();
    }
  }

  #detach(name: string): void {
    const path = this.#pin(name);
    if (!existsSync(path)) return;
    const link = this.#parts.native.openPinnedLink(path);
    try {
      link.unpin();
      link.detach();
    } catch (error) {
      // Gone with its cgroup or namespace.
      if ((error as NativeError).code !== 'ENOLINK') throw error;
    } finally {
      link.close();
    }
  }

  #pin(name: string): string {
    return join(this.#parts.pins.pod(this.pod.uid), name);
  }

  #checkedAddresses(): string[] {
    const { addresses } = this.pod;
    if (addresses.length === 0) throw new RangeError('the pod has no address yet');
    if (addresses.length > LIMIT.addresses) throw new RangeError(`more than ${LIMIT.addresses} addresses`);
    const canonical = addresses.map((address) => {
      const text = canonicalAddress(address);
      if (text === null) throw new RangeError(`not an IP address: ${address}`);
      return text;
    });
    const present = new Set(this.#parts.native.listAddresses(this.netns).map(({ address }) => address));
    const missing = canonical.filter((address) => !present.has(address));
    if (missing.length === 0) return canonical;
    throw new RangeError(`${missing.join(', ')} is on no interface of ${this.pod.netns}`);
  }

  #failure(cause: unknown): MeshError {
    const { namespace, name } = this.pod;
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new MeshError('MESH_ENROL_FAILED', `pod ${namespace}/${name}: ${this.#step}: ${reason}`, {
      cause,
      hint: hintFor(this.#step, cause),
    });
  }
}
