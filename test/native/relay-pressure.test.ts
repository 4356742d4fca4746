/** Back-pressure, bounded memory and the integrity of bytes under any timing. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Acceptor, digest, native, random, relayed, scratchNetns } from './support/net.ts';

const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;

function pattern(bytes: number, seed: number): Buffer {
  const next = random(seed);
  const block = Buffer.from(Uint8Array.from({ length: 65_521 }, () => next(256)));
  return Buffer.alloc(bytes, block);
}

const hashOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

for (const stalled of ['server', 'client'] as const) {
  test.serial(`a ${stalled} that does not read stops the sender; then every byte arrives`, async (t) => {
    const both = await relayed(t, new Acceptor(t, scratchNetns(t)));
    const [sender, reader] = stalled === 'server' ? [both.client, both.server] : [both.server, both.client];
    const moved = stalled === 'server' ? () => both.relay.bytesSent() : () => both.relay.bytesReceived();
    const body = pattern(48_000_000, 7);
    const before = process.memoryUsage.rss();
    sender.end(body);
    for (let last = -1; moved() !== last; await sleep(400)) last = moved();
    const taken = moved();
    t.true(taken < 20_000_000, `the kernel's buffers took ${taken} bytes`);
    t.true(process.memoryUsage.rss() - before < 8_000_000, 'the relay holds one buffer at most');
    t.is(both.relay.release(), null);
    // Nothing spins while it waits.
    const cpu = process.cpuUsage();
    await sleep(200);
    const spent = process.cpuUsage(cpu);
    t.true(spent.user + spent.system < 150_000);
    t.is(moved(), taken);
    t.deepEqual(await digest(reader), { bytes: body.length, hash: hashOf(body) });
    reader.end();
    t.is((await both.end).cause, 'eof');
  });
}

/** Writes `body` in random pieces with random pauses, then half-closes. */
async function trickle(to: Socket, body: Buffer, next: (below: number) => number): Promise<void> {
  for (let offset = 0; offset < body.length; ) {
    const size = next(4) === 0 ? 1 + next(200_000) : 1 + next(3000);
    if (!to.write(body.subarray(offset, offset + size))) await once(to, 'drain');
    offset += size;
    if (next(40) === 0) await sleep(next(4));
  }
  to.end();
}

/** Reads with random pauses. */
async function sip(from: Socket, next: (below: number) => number): Promise<string> {
  const hash = createHash('sha256');
  from.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    if (next(30) !== 0) return;
    from.pause();
    setTimeout(() => from.resume(), next(5));
  });
  from.resume();
  await once(from, 'end');
  return hash.digest('hex');
}

test.serial('random pieces, pauses, buffers and half-closes lose and reorder nothing', async (t) => {
  const seed = Number(process.env.AQUIFER_FUZZ_SEED ?? Date.now() % 1_000_000);
  t.log(`AQUIFER_FUZZ_SEED=${seed}`);
  const via = new Acceptor(t, scratchNetns(t));
  await Promise.all(
    Array.from({ length: 24 }, async (_, i) => {
      const next = random(seed + i);
      const both = await relayed(t, via, { bufferBytes: [500, 4096, 65536, 1 << 20][next(4)] ?? 1 });
      if (next(2) === 0) {
        for (const fd of [both.downstream, both.upstream]) {
          native.setSocketOption(fd, SOL_SOCKET, SO_SNDBUF, 4608 + next(20_000));
          native.setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, 2304 + next(20_000));
        }
      }
      const up = pattern(next(600_000), seed + i);
      const down = pattern(next(600_000), seed - i);
      const [upHash, downHash] = await Promise.all([
        sip(both.server, random(i)),
        sip(both.client, random(i + 1)),
        trickle(both.client, up, next),
        trickle(both.server, down, random(seed * 3 + i)),
      ]);
      t.is(upHash, hashOf(up), `seed ${seed}, relay ${i}, up`);
      t.is(downHash, hashOf(down), `seed ${seed}, relay ${i}, down`);
      t.like(await both.end, { bytesSent: up.length, bytesReceived: down.length, cause: 'eof' });
    }),
  );
});

test.serial('a bulk transfer leaves the others their turn', async (t) => {
  const via = new Acceptor(t, scratchNetns(t));
  const bulk = await relayed(t, via);
  const small = await relayed(t, via);
  bulk.server.resume();
  small.server.on('data', (chunk: Buffer) => small.server.write(chunk)).resume();
  const block = Buffer.alloc(1 << 20);
  let running = true;
  const pump = (): void => {
    while (running && bulk.client.write(block));
    if (running) bulk.client.once('drain', pump);
  };
  pump();
  let worst = 0;
  for (let i = 0; i < 50; i++) {
    const started = performance.now();
    small.client.write('ping');
    await once(small.client, 'readable');
    small.client.read();
    worst = Math.max(worst, performance.now() - started);
  }
  running = false;
  t.true(bulk.relay.bytesSent() > 1_000_000);
  t.true(worst < 250, `the slowest exchange took ${worst} ms`);
});
