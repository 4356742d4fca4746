import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BpfCollection, BpfLink, BpfMap, BpfProgram, CgroupAttach, Native } from '../../native/index.ts';
import { MeshError } from '../model/errors.ts';
import { abiHash } from './abi.ts';
import { withLock } from './lock.ts';
import { SharedMaps } from './maps.ts';
import { MAP_NAMES, type MapName, type Objects, STATE_MAPS } from './objects.ts';
import { Pins, repin } from './pins.ts';
import type { RedirectConfig } from './types.ts';

/** One attachment that belongs to the node, not to a pod. */
interface NodeLink {
  /** Of the pin; a link on another agent's cgroup has another one. */
  name: string;
  object: 'connect' | 'sockops';
  program: string;
  cgroup: string;
  attach: CgroupAttach;
}

/** What a link ran before, until all links run the new programs. */
interface Undo {
  before: BpfProgram;
  revert: () => void;
}

export interface Loaded {
  maps: SharedMaps;
  /** Kernel state of a predecessor was there and goes on. */
  reused: boolean;
}

interface NodeObjects {
  connect: BpfCollection;
  sockops: BpfCollection;
}

/**
 * Loads and attaches what belongs to the node, all or nothing, or goes on with what a predecessor pinned. Throws
 * `MESH_BPF_LOAD` or `MESH_BPF_UNSUPPORTED`; then nothing has changed.
 */
export function loadNode(native: Native, config: RedirectConfig, objects: Objects, pins: Pins): Loaded {
  Pins.requireBpffs(config.bpffs);
  return withLock(native, pins.root, () => {
    pins.dropLeftovers();
    return pins.exists() ? takeOver(native, config, objects, pins) : create(native, config, objects, pins);
  });
}

function create(native: Native, config: RedirectConfig, objects: Objects, pins: Pins): Loaded {
  const connect = objects.load('connect', {});
  const maps = mapsOf(connect);
  const opened: BpfLink[] = [];
  const sockops = objects.load('sockops', { reuseMaps: maps });
  try {
    const directory = pins.begin();
    for (const name of MAP_NAMES) maps[name].pin(join(directory, 'maps', name));
    pins.writeAbi(directory, abiHash(maps, connect));
    for (const wanted of nodeLinks(native, config)) {
      const program = programOf({ connect, sockops }, wanted);
      const link = attach(native, wanted, program);
      opened.push(link);
      link.pin(join(directory, 'links', wanted.name));
      program.pin(join(directory, 'programs', wanted.name));
      program.close();
    }
    pins.commit(directory);
    return { maps: new SharedMaps(maps), reused: false };
  } catch (error) {
    pins.dropLeftovers();
    for (const name of MAP_NAMES) maps[name].close();
    throw error;
  } finally {
    // The pins hold them from here on; an unpinned link detaches when it is closed.
    for (const link of opened) link.close();
    sockops.close();
    connect.close();
  }
}

function takeOver(native: Native, config: RedirectConfig, objects: Objects, pins: Pins): Loaded {
  const maps = openMaps(native, objects, pins);
  let loaded: NodeObjects | null = null;
  const undo: Undo[] = [];
  try {
    loaded = {
      connect: objects.load('connect', { reuseMaps: maps }),
      sockops: objects.load('sockops', { reuseMaps: maps }),
    };
    for (const wanted of nodeLinks(native, config)) replace(native, pins, wanted, programOf(loaded, wanted), undo);
    return { maps: new SharedMaps(maps), reused: true };
  } catch (error) {
    for (const step of undo.reverse()) step.revert();
    for (const name of MAP_NAMES) maps[name].close();
    throw error;
  } finally {
    for (const step of undo) step.before.close();
    loaded?.sockops.close();
    loaded?.connect.close();
  }
}

/** The predecessor's maps; those that only tell are made anew when their size has changed. */
function openMaps(native: Native, objects: Objects, pins: Pins): Record<MapName, BpfMap> {
  const pinned: Record<string, BpfMap> = {};
  const maxEntries: Record<string, number> = {};
  for (const name of STATE_MAPS) {
    const map = native.openPinnedMap(pins.map(name));
    pinned[name] = map;
    maxEntries[name] = map.info.maxEntries;
  }
  const fresh = objects.load('connect', { reuseMaps: {}, maxEntries: withoutZero(maxEntries) });
  try {
    const maps = mapsOf(fresh);
    const [ours, theirs] = [abiHash(maps, fresh), pins.readAbi()];
    if (ours !== theirs) {
      throw new MeshError('MESH_BPF_LOAD', `${pins.live} was made by a version with other map layouts`, {
        hint: `pods stay captured and their TCP is refused; un-enrol them with that version, or remove ${pins.live}`,
      });
    }
    for (const name of MAP_NAMES) {
      const known = pinned[name] ?? reusable(native, pins.map(name), maps[name]);
      if (known === null) {
        repin(maps[name], pins.map(name));
      } else {
        maps[name].close();
        maps[name] = known;
      }
    }
    return maps;
  } finally {
    fresh.close();
  }
}

function reusable(native: Native, path: string, declared: BpfMap): BpfMap | null {
  const map = native.openPinnedMap(path);
  const [have, want] = [map.info, declared.info];
  if (have.maxEntries === want.maxEntries && have.valueSize === want.valueSize) return map;
  map.close();
  return null;
}

/** sk_storage has no size; libbpf refuses one. */
function withoutZero(sizes: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(sizes).filter(([, size]) => size > 0));
}

function replace(native: Native, pins: Pins, wanted: NodeLink, program: BpfProgram, undo: Undo[]): void {
  const path = join(pins.live, 'links', wanted.name);
  const programPath = join(pins.live, 'programs', wanted.name);
  const link = existsSync(path) ? native.openPinnedLink(path) : null;
  try {
    if (link !== null) {
      const before = native.openPinnedProgram(programPath);
      try {
        link.update(program);
        undo.push({ before, revert: () => updatePinned(native, path, programPath, before) });
      } catch (error) {
        before.close();
        // The cgroup has been removed, and the link with it.
        if ((error as NodeJS.ErrnoException).code !== 'ENOLINK') throw error;
        link.unpin();
        attachAndPin(native, wanted, program, path);
      }
    } else {
      mkdirSync(join(pins.live, 'links'), { recursive: true });
      attachAndPin(native, wanted, program, path);
    }
    repin(program, programPath);
  } finally {
    link?.close();
    program.close();
  }
}

function updatePinned(native: Native, path: string, programPath: string, before: BpfProgram): void {
  const link = native.openPinnedLink(path);
  link.update(before);
  repin(before, programPath);
  link.close();
}

function attachAndPin(native: Native, wanted: NodeLink, program: BpfProgram, path: string): void {
  const link = attach(native, wanted, program);
  link.pin(path);
  link.close();
}

function attach(native: Native, wanted: NodeLink, program: BpfProgram): BpfLink {
  try {
    return native.attachCgroup(wanted.cgroup, program, wanted.attach);
  } catch (cause) {
    throw new MeshError(
      'MESH_BPF_LOAD',
      `${wanted.program} cannot be attached to ${wanted.cgroup}: ${(cause as Error).message}`,
      {
        cause,
        hint: 'the cgroup must exist in the v2 hierarchy, and the agent needs CAP_NET_ADMIN and CAP_BPF',
      },
    );
  }
}

function nodeLinks(native: Native, config: RedirectConfig): NodeLink[] {
  const sockops = (role: 'agent' | 'node', cgroup: string): NodeLink => ({
    name: `${role}-${native.cgroupId(cgroup)}`,
    object: 'sockops',
    program: `aq_ops_${role}`,
    cgroup,
    attach: 'sock_ops',
  });
  const connect = (attach: 'connect4' | 'connect6'): NodeLink => ({
    name: attach,
    object: 'connect',
    program: `aq_${attach}`,
    cgroup: config.cgroupRoot,
    attach,
  });
  // connect last: until the records are made, nothing that it marks could come through.
  return [
    sockops('agent', config.agentCgroup),
    sockops('node', config.nodeCgroup),
    connect('connect4'),
    connect('connect6'),
  ];
}

function programOf(loaded: NodeObjects, wanted: NodeLink): BpfProgram {
  return loaded[wanted.object].program(wanted.program);
}

function mapsOf(collection: BpfCollection): Record<MapName, BpfMap> {
  return Object.fromEntries(MAP_NAMES.map((name) => [name, collection.map(name)])) as Record<MapName, BpfMap>;
}
