/** A pod's life on its node: sandbox, enrolment, init containers, containers, end. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Container, namespaceOf, type Pod, type PodStatus } from '../cluster/objects.ts';
import { messageOf } from '../errors.ts';
import { netnsPath } from '../names.ts';
import { privilegesOf } from './capabilities.ts';
import { ContainerRun } from './container.ts';
import { commandOf, environmentOf, type ImageMap } from './env.ts';
import { awaitEnrolment } from './gate.ts';
import type { AddressPool } from './ipam.ts';
import type { Entry } from './launch.ts';
import { unsupportedProbe } from './probes.ts';
import { Sandbox, type SandboxPlace } from './sandbox.ts';
import { type Blocked, podStatus } from './status.ts';

const RETRY_MS = 500;
const DEFAULT_GRACE_SECONDS = 30;

export interface PodSettings {
  place: SandboxPlace;
  pool: AddressPool;
  images: ImageMap;
  available: readonly string[];
  /** `null`: this lab has no agents, nothing is captured and nothing waits. */
  agentSocket: string | null;
  wantsEnrolment: (pod: Pod) => boolean;
  onStatus: (pod: Pod, status: PodStatus, addresses: readonly string[]) => void;
}

export class PodRun {
  readonly #settings: PodSettings;
  readonly #abort = new AbortController();
  readonly #startTime = new Date().toISOString();
  readonly #running: Promise<void>;
  #pod: Pod;
  #sandbox: Sandbox | null = null;
  #initRuns: ContainerRun[] = [];
  #runs: ContainerRun[] = [];
  #blocked: Blocked | null = { reason: 'ContainerCreating', message: 'the pod has just come' };
  #ended = false;

  constructor(pod: Pod, settings: PodSettings) {
    this.#pod = pod;
    this.#settings = settings;
    this.#running = this.#run().catch((error: unknown) => void this.#block('RunPodFailed', messageOf(error)));
  }

  /** Labels and annotations may change while a pod runs; nothing else does. */
  update(pod: Pod): void {
    this.#pod = pod;
  }

  /** Ends all containers and removes what the pod had. Resolves when nothing of it is left. */
  async terminate(): Promise<void> {
    this.#abort.abort();
    const graceMs = (this.#pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
    await Promise.all([...this.#initRuns, ...this.#runs].map((run) => run.stop(graceMs)));
    await this.#running;
    this.#ended = true;
    await this.#sandbox?.remove();
    this.#settings.pool.release(this.#uid());
  }

  async #run(): Promise<void> {
    const plans = this.#plan();
    if (plans === null) return;
    this.#warnOfVolumes();
    this.#sandbox = await this.#createSandbox();
    if (this.#sandbox === null) return;
    const { containers, initContainers = [] } = this.#pod.spec;
    const entries = [...initContainers, ...containers].map((container) =>
      this.#entry(container, this.#sandbox as Sandbox),
    );
    const order = [...containers, ...initContainers].map((container) => container.name);
    writeFileSync(join(this.#sandbox.files, 'containers'), JSON.stringify(order));
    this.#sandbox.announce([...new Set(entries.flatMap((entry) => entry.privileges.capabilities))]);
    this.#report();
    await this.#awaitEnrolment();
    this.#blocked = null;
    for (const [index, container] of initContainers.entries()) {
      if (!(await this.#runInit(container, entries[index] as Entry))) return;
    }
    if (this.#abort.signal.aborted) return;
    this.#runs = containers.map((container, index) =>
      this.#containerRun(
        container,
        entries[initContainers.length + index] as Entry,
        this.#pod.spec.restartPolicy ?? 'Always',
      ),
    );
    for (const run of this.#runs) run.start();
  }

  /** Faults of the manifest are found before anything is made. */
  #plan(): true | null {
    const { containers, initContainers = [] } = this.#pod.spec;
    for (const container of [...initContainers, ...containers]) {
      const command = commandOf(container, this.#settings.images, {});
      if ('fault' in command) return this.#block('ErrImagePull', command.fault);
      const probe = unsupportedProbe(container);
      if (probe !== null) return this.#block('UnsupportedProbe', probe);
    }
    return true;
  }

  /** A manifest from elsewhere may count on them: its log is where one looks when it does not work. */
  #warnOfVolumes(): void {
    const paths = this.#pod.spec.containers
      .flatMap((container) => container.volumeMounts ?? [])
      .map((mount) => mount.mountPath);
    if (paths.length === 0) return;
    const { paths: lab } = this.#settings.place;
    const file = lab.podLog(namespaceOf(this.#pod), this.#pod.metadata.name);
    appendFileSync(file, `lab: no volume is mounted: what the pod sees at ${paths.join(', ')} is the host's own\n`, {
      mode: 0o600,
    });
  }

  async #createSandbox(): Promise<Sandbox | null> {
    const addresses = await this.#addresses();
    if (addresses === null) return null;
    const sandbox = new Sandbox(this.#settings.place, this.#pod, addresses);
    while (!this.#abort.signal.aborted) {
      try {
        await sandbox.create();
        return sandbox;
      } catch (error) {
        this.#block('FailedCreatePodSandBox', messageOf(error));
        await sandbox.remove().catch(() => {});
        await this.#pause();
      }
    }
    return null;
  }

  async #addresses(): Promise<readonly string[] | null> {
    const { pool, place } = this.#settings;
    if (this.#pod.spec.hostNetwork === true) return [place.node.v4, place.node.v6];
    while (!this.#abort.signal.aborted) {
      const addresses = pool.take(this.#uid());
      if (addresses !== null) return addresses;
      const where = place.outside ? 'the outside' : place.node.name;
      const hint = 'delete pods, or start the lab with more nodes or a larger --pods-per-node';
      this.#block('AddressPoolExhausted', `no pod address is left on ${where}: all ${pool.size} are in use; ${hint}`);
      await this.#pause();
    }
    return null;
  }

  async #awaitEnrolment(): Promise<void> {
    const { agentSocket, wantsEnrolment, place } = this.#settings;
    if (agentSocket === null || place.outside || this.#pod.spec.hostNetwork === true) return;
    await awaitEnrolment({
      agentSocket,
      uid: this.#uid(),
      wanted: () => wantsEnrolment(this.#pod),
      signal: this.#abort.signal,
      onWaiting: (reason) => this.#block('ContainerCreating', reason),
    });
  }

  async #runInit(container: Container, entry: Entry): Promise<boolean> {
    const policy = (this.#pod.spec.restartPolicy ?? 'Always') === 'Never' ? 'Never' : 'OnFailure';
    const run = this.#containerRun(container, entry, policy);
    this.#initRuns.push(run);
    run.start();
    while (!run.finished && !this.#abort.signal.aborted) await sleep(20);
    return run.finished && run.exitCode === 0;
  }

  #containerRun(container: Container, entry: Entry, restartPolicy: string): ContainerRun {
    const { paths } = this.#settings.place;
    return new ContainerRun({
      container,
      command: commandOf(container, this.#settings.images, entry.env) as string[],
      entry,
      address: this.#sandbox?.addresses[0] ?? '',
      logFile: paths.podLog(namespaceOf(this.#pod), this.#pod.metadata.name),
      restartPolicy,
      onChange: () => this.#report(),
    });
  }

  #entry(container: Container, sandbox: Sandbox): Entry {
    const facts = { podIps: sandbox.addresses, hostIp: this.#settings.place.node.v4 };
    const entry: Entry = {
      cgroup: join(sandbox.cgroup, container.name),
      netns: netnsPath(sandbox.netns),
      files: sandbox.files,
      workdir: container.workingDir ?? '/',
      env: environmentOf(container, this.#pod, facts),
      privileges: privilegesOf(container, this.#pod.spec, this.#settings.available),
    };
    writeFileSync(join(sandbox.files, `${container.name}.json`), JSON.stringify(entry), { mode: 0o600 });
    return entry;
  }

  #block(reason: string, message: string): null {
    if (this.#blocked?.reason === reason && this.#blocked.message === message) return null;
    this.#blocked = { reason, message };
    this.#report();
    return null;
  }

  async #pause(): Promise<void> {
    await sleep(RETRY_MS, undefined, { signal: this.#abort.signal }).catch(() => {});
  }

  #uid(): string {
    return this.#pod.metadata.uid ?? '';
  }

  #report(): void {
    if (this.#ended) return;
    const status = podStatus({
      pod: this.#pod,
      addresses: this.#sandbox?.addresses ?? [],
      hostIp: this.#settings.place.node.v4,
      outside: this.#settings.place.outside,
      startTime: this.#startTime,
      blocked: this.#blocked,
      initRuns: this.#initRuns,
      runs: this.#runs,
    });
    this.#settings.onStatus(this.#pod, status, this.#sandbox?.addresses ?? []);
  }
}
