/** Scenes for net-lifecycle.test.ts and relay-idle.test.ts, each run in a process or worker of its own: `SCENE [PORT]`. Descriptor 3 is the namespace. */
import { closeSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { loadNative, type Relay } from '../../../native/index.ts';

const native = loadNative();
const [, , scene = '', port = '0'] = process.argv;
const netns = parentPort === null ? 3 : (workerData as number);
const loopback = (at: number) => ({ address: '127.0.0.1', port: at });

function say(text: string | number): void {
  process.stdout.write(`${text}\n`);
}

function fail(error: Error): never {
  throw error;
}

function listen(onAccept: (fd: number) => void, onError: (error: Error) => void = fail) {
  const options = { netns, address: '::', port: 0, backlog: 4096, transparent: false };
  return native.listen(options, 64, (accepted) => onAccept(accepted.fd), onError);
}

function connect(at: number): Promise<number> {
  const options = { netns, to: loopback(at), from: null, transparent: false, mark: 0, timeoutMs: 5000 };
  return new Promise((resolve, reject) => {
    native.connect(options, (error, fd) => (error === null ? resolve(fd) : reject(error)));
  });
}

async function pair(): Promise<[number, number]> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const listener = listen(resolve);
  const client = await connect(listener.port);
  const server = await promise;
  listener.close();
  return [client, server];
}

/** A relay under load, a listener, and a connect that will not be answered. */
async function everything(): Promise<{ relay: Relay; kept: unknown[] }> {
  const [client, downstream] = await pair();
  const [upstream, server] = await pair();
  const relay = native.relay(downstream, upstream, { bufferBytes: 65536, idleTimeoutMs: 60_000 }, () => {});
  const [from, to] = [new Socket({ fd: client }), new Socket({ fd: server })];
  to.resume();
  const block = Buffer.alloc(100_000);
  const pump = (): void => {
    while (from.write(block));
    from.once('drain', pump);
  };
  pump();
  const listener = listen((fd) => native.closeSocket(fd, false));
  const options = { netns, to: loopback(listener.port), from: null, transparent: false, mark: 0, timeoutMs: 5000 };
  const connector = native.connect(options, (_error, fd) => native.closeSocket(fd, false));
  while (relay.bytesSent() < 1_000_000) await sleep(1);
  return { relay, kept: [from, to, listener, connector] };
}

let kept: unknown = null;

switch (scene) {
  case 'exit':
    kept = await everything();
    say('running');
    process.exit(0);
    break;
  case 'throw':
    kept = await everything();
    say('running');
    throw new Error('wanted');
  case 'closed-exits': {
    const { relay } = await everything();
    relay.close('reset');
    say('closed');
    process.exitCode = 7;
    setTimeout(() => process.exit(7), 20).unref();
    break;
  }
  case 'idle-loop': {
    // Open sources keep the process; closed ones do not.
    const [client, downstream] = await pair();
    const [upstream, server] = await pair();
    native.relay(downstream, upstream, { bufferBytes: 1024, idleTimeoutMs: 80 }, (end) => say(end.cause));
    process.on('exit', () => {
      native.closeSocket(client, false);
      native.closeSocket(server, false);
    });
    break;
  }
  case 'worker':
    kept = await everything();
    parentPort?.postMessage('running');
    break;
  case 'collect': {
    const { gc } = globalThis;
    if (gc === undefined) throw new Error('run with --expose-gc');
    const [client, downstream] = await pair();
    const [upstream, server] = await pair();
    // Nothing here keeps the relay, nor its callback.
    const { promise, resolve } = Promise.withResolvers<string>();
    native.relay(downstream, upstream, { bufferBytes: 1024, idleTimeoutMs: 0 }, (end) => resolve(end.cause));
    for (let i = 0; i < 5; i++) await gc({ execution: 'async', type: 'major' });
    const [from, to] = [
      new Socket({ fd: client, allowHalfOpen: true }),
      new Socket({ fd: server, allowHalfOpen: true }),
    ];
    to.on('data', (chunk: Buffer) => to.write(chunk)).on('end', () => to.end());
    from.write('still there');
    from.once('data', (chunk: Buffer) => {
      say(chunk.toString());
      gc({ execution: 'sync', type: 'major' });
      from.end();
    });
    say(await promise);
    break;
  }
  case 'descriptors': {
    const spare: number[] = [];
    let errors = 0;
    const listener = listen(
      (fd) => {
        closeSync(fd);
        say('accepted');
        listener.close();
      },
      (error) => {
        say((error as NodeJS.ErrnoException).code ?? '');
        // The third pause in a row: room is made, and the next attempt succeeds.
        if (++errors === 3) for (const fd of spare) closeSync(fd);
      },
    );
    // The client's socket exists before the last descriptor is gone; accepting comes later, on the loop.
    const connected = connect(listener.port);
    for (;;) {
      try {
        spare.push(openSync('/dev/null', 'r'));
      } catch {
        break;
      }
    }
    kept = await connected;
    break;
  }
  case 'proxy': {
    const relays = new Set<Relay>();
    const front = listen((downstream) => {
      void connect(Number(port)).then((upstream) => {
        const relay = native.relay(downstream, upstream, { bufferBytes: 65536, idleTimeoutMs: 3_600_000 }, () => {
          relays.delete(relay);
        });
        relays.add(relay);
      });
    });
    say(front.port);
    for await (const line of createInterface({ input: process.stdin })) {
      if (line === 'close') break;
      while (relays.size < Number(line)) await sleep(10);
      for (let i = 0; i < 3; i++) await globalThis.gc?.({ execution: 'async', type: 'major' });
      say(process.memoryUsage.rss());
    }
    let closed = 0;
    while (relays.size > 0) {
      closed = Math.max(closed, relays.size);
      await sleep(10);
    }
    say(closed);
    front.close();
    break;
  }
  case 'ends': {
    // Both ends of all connections; each accepted one echoes.
    const servers: number[] = [];
    const back = listen((fd) => servers.push(fd));
    say(back.port);
    const clients: number[] = [];
    for await (const line of createInterface({ input: process.stdin })) {
      const [verb, count = '0', at = '0'] = line.split(' ');
      if (verb === 'open') {
        while (clients.length < Number(count)) {
          const batch = Math.min(50, Number(count) - clients.length);
          clients.push(...(await Promise.all(Array.from({ length: batch }, () => connect(Number(at))))));
        }
        say(clients.length);
      } else if (verb === 'ping') {
        const sockets = servers.map((fd) => new Socket({ fd }));
        for (const socket of sockets) socket.on('data', (chunk: Buffer) => socket.write(chunk)).on('error', () => {});
        let answered = 0;
        for (const fd of clients) {
          const socket = new Socket({ fd });
          socket.on('error', () => {});
          socket.on('data', () => {
            if (++answered === clients.length) say(answered);
          });
          socket.write('?');
        }
      } else process.exit(0);
    }
    break;
  }
  default:
    throw new Error(`no scene ${scene}`);
}
void kept;
