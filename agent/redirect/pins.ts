import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statfsSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Native, NativeError } from '../../native/index.ts';
import { MeshError } from '../model/errors.ts';

/** From include/uapi/linux/magic.h. */
const BPF_FS_MAGIC = 0xcafe4a11;
/** Layout of the directory and meaning of what is pinned; another one lives beside it. */
const VERSION = 'v1';

/**
 * Where one agent instance keeps its kernel state: `<bpffs>/aquifer/<instance>/v1/{maps,programs,links,pods/<uid>}`.
 * Outlives the agent; a successor goes on with it.
 */
export class Pins {
  readonly root: string;
  readonly live: string;
  readonly #native: Pick<Native, 'openPinnedLink'>;

  constructor(native: Pick<Native, 'openPinnedLink'>, bpffs: string, instance: string) {
    this.#native = native;
    this.root = join(bpffs, 'aquifer', escapeName(instance));
    this.live = join(this.root, VERSION);
  }

  /** Throws `MESH_BPF_UNSUPPORTED` where there is no bpffs. */
  static requireBpffs(path: string): void {
    if (existsSync(path) && statfsSync(path).type === BPF_FS_MAGIC) return;
    throw new MeshError('MESH_BPF_UNSUPPORTED', `${path} is not a BPF file system`, {
      hint: `mount -t bpf bpf ${path}`,
    });
  }

  exists(): boolean {
    return existsSync(this.live);
  }

  /** A directory beside the live one, to be filled and then put in its place by `commit`. */
  begin(): string {
    const path = join(this.root, `new-${process.pid}`);
    for (const part of ['maps', 'programs', 'links', 'pods'])
      mkdirSync(join(path, part), { recursive: true, mode: 0o700 });
    return path;
  }

  /** One step for whoever looks: before it nothing, after it everything. */
  commit(path: string): void {
    renameSync(path, this.live);
  }

  /** What a killed agent left half built; its links detach with it. Only under the lock. */
  dropLeftovers(): void {
    for (const name of existsSync(this.root) ? readdirSync(this.root) : []) {
      if (!name.startsWith('new-')) continue;
      this.#detachBelow(join(this.root, name, 'links'));
      removeTree(join(this.root, name));
    }
  }

  /** bpffs holds no files, so the hash is where a symbolic link points to. */
  writeAbi(directory: string, hash: string): void {
    symlinkSync(hash, join(directory, 'abi'));
  }

  readAbi(): string {
    return readlinkSync(join(this.live, 'abi'));
  }

  map(name: string): string {
    return join(this.live, 'maps', name);
  }

  podUids(): string[] {
    const pods = join(this.live, 'pods');
    return existsSync(pods) ? readdirSync(pods).map(unescapeName) : [];
  }

  pod(uid: string): string {
    return join(this.live, 'pods', escapeName(uid));
  }

  /** Which programs and constants are attached; null when that is not known. */
  readVersion(uid: string): string | null {
    try {
      return readlinkSync(join(this.pod(uid), 'version'));
    } catch {
      return null;
    }
  }

  writeVersion(uid: string, version: string): void {
    const path = join(this.pod(uid), 'version');
    if (this.readVersion(uid) !== null) unlinkSync(path);
    symlinkSync(version, path);
  }

  /** Detaches what is pinned there. */
  removePod(uid: string): void {
    this.#detachBelow(this.pod(uid));
    removeTree(this.pod(uid));
  }

  removeAll(): void {
    for (const uid of this.podUids()) this.removePod(uid);
    this.#detachBelow(join(this.live, 'links'));
    removeTree(this.root);
  }

  /** Now: a link whose last pin goes is detached a while later. */
  #detachBelow(directory: string): void {
    for (const entry of existsSync(directory) ? readdirSync(directory, { withFileTypes: true }) : []) {
      if (entry.isSymbolicLink()) continue;
      const link = this.#native.openPinnedLink(join(directory, entry.name));
      try {
        link.detach();
      } catch (error) {
        // Gone with its cgroup or namespace.
        if ((error as NativeError).code !== 'ENOLINK') throw error;
      } finally {
        link.close();
      }
    }
  }
}

/** Replaces a pin in one step. */
export function repin(object: { pin(path: string): void }, path: string): void {
  const fresh = `${path}-new`;
  if (existsSync(fresh)) unlinkSync(fresh);
  object.pin(fresh);
  renameSync(fresh, path);
}

/** bpffs keeps names with a dot for itself; node names and uids may have one. */
function escapeName(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('.', '%2E');
}

function unescapeName(name: string): string {
  return name.replaceAll('%2E', '.').replaceAll('%25', '%');
}

function removeTree(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) removeTree(child);
    else unlinkSync(child);
  }
  rmdirSync(path);
}
