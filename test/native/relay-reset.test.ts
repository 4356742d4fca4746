/** RST passes as RST, whatever the relay is doing; what came before it is delivered. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Acceptor, digest, errorOf, read, relayed, scratchNetns } from './support/net.ts';

const sides = [
  ['client', 'downstream'],
  ['server', 'upstream'],
] as const;

for (const [who, cause] of sides) {
  test(`a RST by the ${who} reaches the other as ECONNRESET`, async (t) => {
    const both = await relayed(t, new Acceptor(t, scratchNetns(t)));
    const [resetting, other] = who === 'client' ? [both.client, both.server] : [both.server, both.client];
    resetting.write('before');
    t.is(await read(other, 6), 'before');
    resetting.resetAndDestroy();
    t.is(await errorOf(other), 'ECONNRESET');
    t.like(await both.end, { cause, code: 'ECONNRESET', errno: 104 });
  });

  test(`a RST by the ${who} after its half-close is passed on`, async (t) => {
    const both = await relayed(t, new Acceptor(t, scratchNetns(t)));
    const [resetting, other] = who === 'client' ? [both.client, both.server] : [both.server, both.client];
    resetting.end('all');
    t.is((await digest(other)).bytes, 3);
    resetting.resetAndDestroy();
    // The kernel calls it EPIPE on a socket whose peer had finished.
    t.is((await both.end).cause, cause);
    other.write('x');
    t.true(['ECONNRESET', 'EPIPE'].includes((await errorOf(other)) ?? ''));
  });

  test(`a RST by the ${who} is noticed while its bytes cannot be delivered`, async (t) => {
    const both = await relayed(t, new Acceptor(t, scratchNetns(t)), { bufferBytes: 65536 });
    const [resetting, stalled] = who === 'client' ? [both.client, both.server] : [both.server, both.client];
    resetting.write(Buffer.alloc(32_000_000));
    const moved = () => both.relay.bytesSent() + both.relay.bytesReceived();
    for (let last = -1; moved() !== last; await sleep(200)) last = moved();
    t.true(moved() < 32_000_000);
    const cpu = process.cpuUsage();
    const started = performance.now();
    resetting.resetAndDestroy();
    t.like(await both.end, { cause, code: 'ECONNRESET' });
    t.true(performance.now() - started < 2500);
    const spent = process.cpuUsage(cpu);
    t.true(spent.user + spent.system < 600_000, 'no busy loop');
    t.is(await errorOf(stalled), 'ECONNRESET');
  });

  test(`a RST by the ${who} is noticed while the other way is stalled`, async (t) => {
    const both = await relayed(t, new Acceptor(t, scratchNetns(t)));
    const [resetting, sending] = who === 'client' ? [both.client, both.server] : [both.server, both.client];
    sending.write(Buffer.alloc(32_000_000));
    await sleep(150);
    resetting.resetAndDestroy();
    t.is((await both.end).cause, cause);
    t.true(['ECONNRESET', 'EPIPE'].includes((await errorOf(sending)) ?? ''));
  });

  test(`what the ${who} sent before its RST is delivered`, async (t) => {
    for (let i = 0; i < 20; i++) {
      const both = await relayed(t, new Acceptor(t, scratchNetns(t)));
      const [resetting, other] = who === 'client' ? [both.client, both.server] : [both.server, both.client];
      await new Promise((resolve) => resetting.write(Buffer.alloc(20_000, 'x'), resolve));
      resetting.resetAndDestroy();
      let bytes = 0;
      other.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      t.is(await errorOf(other), 'ECONNRESET');
      t.is(bytes, 20_000);
      await both.end;
    }
  });
}

test('a reader that goes on in time gets all that the relay took before the RST', async (t) => {
  const { client, server, relay, end } = await relayed(t, new Acceptor(t, scratchNetns(t)));
  client.write(Buffer.alloc(16_000_000));
  for (let last = -1; relay.bytesSent() !== last; await sleep(200)) last = relay.bytesSent();
  let bytes = 0;
  server.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  client.resetAndDestroy();
  t.is(await errorOf(server), 'ECONNRESET');
  t.is(bytes, (await end).bytesSent);
});

test('a cut stream never looks whole: no FIN comes before the RST', async (t) => {
  for (let i = 0; i < 20; i++) {
    const { client, server, end } = await relayed(t, new Acceptor(t, scratchNetns(t)));
    let ended = false;
    server.on('end', () => {
      ended = true;
    });
    server.resume();
    client.write('partial');
    client.resetAndDestroy();
    await end;
    t.is(await errorOf(server), 'ECONNRESET');
    t.false(ended);
  }
});

test('cut tells the client alone, moves nothing any more, and leaves the server to close', async (t) => {
  const both = await relayed(t, new Acceptor(t, scratchNetns(t)));
  both.client.write('before');
  t.is(await read(both.server, 6), 'before');
  both.relay.cut();
  both.relay.cut();
  t.is(await errorOf(both.client), 'ECONNRESET');
  both.server.write('late');
  await sleep(50);
  t.deepEqual([both.relay.bytesSent(), both.relay.bytesReceived()], [6, 0]);
  both.relay.close('finish');
  t.is(await errorOf(both.server), 'ECONNRESET', 'a cut stream must not look whole');
  t.like(await both.end, { cause: 'closed', bytesSent: 6 });
});
