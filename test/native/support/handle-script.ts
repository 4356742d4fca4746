/** Scenes for handles.test.ts, each run in a process or worker of its own: `SCENE OBJECT [CGROUP] [PIN]`. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { type BpfCollection, type BpfLink, loadNative, type NativeError } from '../../../native/index.ts';

const native = loadNative();
const [, , scene = '', object = '', cgroup = '', pin] = process.argv;
const elf = new Uint8Array(readFileSync(object));
const records = new Uint8Array([1, 0, 0, 0]);

function load(): BpfCollection {
  return native.loadCollection(elf, { name: 'scene', constants: {}, reuseMaps: {}, maxEntries: {}, programs: null });
}

interface Opened {
  link: BpfLink;
  others: unknown[];
}

/** One handle of each kind, all open. */
function openAll(): Opened {
  const collection = load();
  const link = native.attachCgroup(cgroup, collection.program('egress'), 'egress');
  const ring = native.openRingBuffer(collection.map('events'), () => {});
  return { link, others: [collection, ring, collection.map('pods'), collection.program('lookup')] };
}

function bpfDescriptors(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('bpf');
    } catch {
      return false;
    }
  }).length;
}

function say(text: string | number): void {
  process.stdout.write(`${text}\n`);
}

/** A record on the ring buffer: egress is no use for that, connect4 submits one. */
async function connectOnce(): Promise<void> {
  const { spawnSync } = await import('node:child_process');
  spawnSync('bash', ['-c', `echo $$ > ${cgroup}/cgroup.procs && exec 3<>/dev/tcp/127.0.0.1/9`]);
}

/** Kept in module scope: alive when the process or worker ends. */
let kept: Opened | null = null;

switch (scene) {
  case 'collect': {
    // In a function, so that no register of this frame keeps the last round alive.
    (() => {
      for (let round = 0; round < 20; round++) {
        const collection = load();
        native.attachCgroup(cgroup, collection.program('egress'), 'egress');
        collection.map('pods');
      }
    })();
    const { gc } = globalThis;
    if (gc === undefined) throw new Error('run with --expose-gc');
    for (let turn = 0; turn < 50 && bpfDescriptors() > 0; turn++) {
      await sleep(5);
      await gc({ execution: 'async', type: 'major' });
    }
    say(`left ${bpfDescriptors()}`);
    break;
  }
  case 'many': {
    for (let round = 0; round < 50; round++) {
      const collection = load();
      const map = collection.map('events');
      const ring = native.openRingBuffer(map, () => {});
      const program = collection.program('egress');
      const link = native.attachCgroup(cgroup, program, 'egress');
      for (const handle of [collection, link, map, ring, program]) handle.close();
      try {
        native.loadCollection(elf, {
          name: 'x',
          constants: { none: elf },
          reuseMaps: {},
          maxEntries: {},
          programs: null,
        });
      } catch {
        // Wanted: what was open at the failure must be closed too.
      }
    }
    say(`left ${bpfDescriptors()}`);
    break;
  }
  case 'leave':
    kept = openAll();
    say(kept.link.info.id);
    break;
  case 'exit':
    kept = openAll();
    say(kept.link.info.id);
    process.exit(0);
    break;
  case 'throw':
    kept = openAll();
    say(kept.link.info.id);
    throw new Error('wanted');
  case 'callback-throws':
  case 'forgotten-ring': {
    const collection = native.loadCollection(elf, {
      name: 'scene',
      constants: { records },
      reuseMaps: {},
      maxEntries: {},
      programs: ['connect4'],
    });
    let seen = 0;
    native.openRingBuffer(collection.map('events'), () => {
      seen++;
      if (scene === 'callback-throws') throw new Error('from the callback');
    });
    const link = native.attachCgroup(cgroup, collection.program('connect4'), 'connect4');
    await globalThis.gc?.({ execution: 'async', type: 'major' });
    await connectOnce();
    await sleep(100);
    link.close();
    say(`records ${seen}`);
    break;
  }
  case 'hold':
    kept = openAll();
    if (pin !== undefined) kept.link.pin(pin);
    say(kept.link.info.id);
    await sleep(60_000);
    break;
  case 'worker-ends':
    kept = openAll();
    parentPort?.postMessage(kept.link.info.id);
    break;
  case 'worker-stays':
    kept = openAll();
    parentPort?.postMessage(kept.link.info.id);
    await sleep(60_000);
    break;
  case 'load':
    try {
      load();
    } catch (error) {
      const { code, message } = error as NativeError;
      say(`${code} ${message}`);
    }
    break;
  case 'worker-refused': {
    const logs: string[] = [];
    for (let round = 0; round < 10; round++) {
      try {
        load();
      } catch (error) {
        logs.push((error as NativeError).verifierLog ?? '');
      }
    }
    parentPort?.postMessage(logs);
    break;
  }
  default:
    throw new Error(`no such scene: ${scene}`);
}
