/** What goes wrong in a real network and on a real node: a clear end for that connection, and nothing else disturbed. */
import test from 'ava';
import { eventually, until } from '../../support/eventually.ts';
import { Held } from '../../support/held.ts';
import { Lab, type Ran, run } from '../../support/lab.ts';
import { ambient, echo, namespace, pod, program, service, yaml } from '../../support/manifests.ts';

let lab: Lab;

test.before(async () => {
  lab = await Lab.up(
    'faults',
    yaml(
      ambient('shop'),
      namespace('plain'),
      pod('shop', 'client', { node: 'node-1' }),
      pod('shop', 'bystander', { node: 'node-1' }),
      pod('shop', 'far-client', { node: 'node-2' }),
      pod('plain', 'stranger', { node: 'node-2' }),
      pod('shop', 'near', { node: 'node-1', ...echo(8080) }),
      pod('shop', 'far', { node: 'node-2', ...echo(8080) }),
      pod('shop', 'stalled', {
        node: 'node-2',
        command: program('stalled', 8080),
        container: { readinessProbe: { tcpSocket: { port: 8081 }, periodSeconds: 1 } },
      }),
      service('shop', 'far', [{ port: 80, targetPort: 8080 }]),
    ),
  );
});

test.after.always(async () => {
  await lab?.down();
});

async function works(from = 'shop/bystander', host = 'far'): Promise<boolean> {
  const ran = await lab.exec(from, ['ncat', '-w', '5', await lab.address('shop', host), '8080'], {
    input: 'hello\n',
    timeoutMs: 10_000,
  });
  return ran.stdout.endsWith('hello\n');
}

async function agentRssBytes(node: string): Promise<number> {
  const { pid } = await lab.agent<{ pid: number }>(node, '/version');
  const ran = await run('awk', ['/^VmRSS/ {print $2}', `/proc/${pid}/status`]);
  return Number(ran.stdout) * 1024;
}

test.serial('a stalled reader stops the writer; the agents hold a bounded part of it', async (t) => {
  const before = [await agentRssBytes('node-1'), await agentRssBytes('node-2')];
  const ran = await lab.exec('shop/client', program('flood', await lab.address('shop', 'stalled'), 8080, 4));
  const { sentBytes, stalledMs } = JSON.parse(ran.stdout) as { sentBytes: number; stalledMs: number };
  t.true(sentBytes < 64 * 1024 * 1024, `${sentBytes} bytes went in`);
  t.true(stalledMs > 1_000, `the writer was stopped for ${stalledMs} ms`);
  const after = [await agentRssBytes('node-1'), await agentRssBytes('node-2')];
  for (const [i, rss] of after.entries())
    t.true(rss - (before[i] ?? 0) < 32 * 1024 * 1024, `agent ${i + 1} grew by ${rss - (before[i] ?? 0)} bytes`);
  t.true(await works());
});

test.serial('half-close is passed on: the answer comes after the caller has finished sending', async (t) => {
  for (const host of ['near', 'far']) {
    const ran = await lab.exec('shop/client', program('half-close', await lab.address('shop', host), 8080));
    t.regex(ran.stdout, /^after-fin 1048576 bytes$/m, ran.stdout + ran.stderr);
  }
});

test.serial('a reset stays a reset, in both directions', async (t) => {
  for (const host of ['near', 'far']) {
    const address = await lab.address('shop', host);
    const server = yaml(
      pod('shop', 'resetter', {
        node: host === 'near' ? 'node-1' : 'node-2',
        command: program('resetter', 8080),
        container: { readinessProbe: { tcpSocket: { port: 8081 }, periodSeconds: 1 } },
      }),
    );
    t.is((await lab.apply(server)).code, 0);
    const resetter = await lab.address('shop', 'resetter');
    await until('the server resets its callers', async () => {
      const ran = await lab.exec('shop/client', program('caller', resetter, 8080, 0.1));
      return Object.keys(JSON.parse(ran.stdout).errors).join() === 'ECONNRESET';
    });
    const seen = await lab.exec('shop/resetter', ['true']);
    t.is(seen.code, 0);
    await lab.exec('shop/client', program('reset-client', resetter, 8082));
    await until('the server saw the client reset', async () =>
      (await lab.cli(['lab', 'logs', 'shop/resetter'])).stdout.includes('client ECONNRESET'),
    );
    await lab.delete(server);
    await until(
      'it is gone',
      async () =>
        !JSON.stringify(await lab.controller('/v1/objects?kind=Pod&namespace=shop&name=resetter')).includes('resetter'),
    );
    t.truthy(address);
  }
});

test.serial('a SYN to a closed port is answered like one, and a port scan ends in good time', async (t) => {
  for (const host of ['near', 'far']) {
    const address = await lab.address('shop', host);
    const result = JSON.parse((await lab.exec('shop/client', program('caller', address, 9, 0.2))).stdout);
    t.is(result.failures, result.calls);
    t.true(result.slowestMs < 3_000, `${result.slowestMs} ms`);
  }
  const scan = await lab.exec('shop/client', program('scan', await lab.address('shop', 'far'), 1, 2000), {
    timeoutMs: 60_000,
  });
  t.is(scan.stdout.trim(), 'open', scan.stdout + scan.stderr);
  t.true(await works());
});

test.serial('the agent own ports lead nowhere: no loop, no way to another listener', async (t) => {
  for (const from of ['shop/client', 'plain/stranger']) {
    for (const host of ['client', 'near', 'far']) {
      for (const port of [15001, 15006, 15008]) {
        const ran: Ran = await lab.exec(from, ['ncat', '-w', '2', await lab.address('shop', host), String(port)], {
          input: 'hello\n',
          timeoutMs: 10_000,
        });
        t.false(ran.stdout.includes('hello'), `${from} → ${host}:${port}`);
      }
    }
  }
  const ran = await lab.exec('shop/client', ['ncat', '-w', '2', '127.0.0.1', '15001'], { input: 'hello\n' });
  t.false(ran.stdout.includes('hello'));
  t.true(await works());
});

test.serial('a pod killed mid-transfer ends its connections and no other', async (t) => {
  const victim = yaml(pod('shop', 'victim', { node: 'node-2', ...echo(8080) }));
  t.is((await lab.apply(victim)).code, 0);
  const address = await lab.address('shop', 'victim');
  await until('it answers', () => works('shop/client', 'victim'));
  const doomed = await Held.open(lab, 'shop/client', address, 8080, 5);
  const held = await Held.open(lab, 'shop/client', await lab.address('shop', 'far'), 8080, 5);
  try {
    await lab.delete(victim);
    t.is((await doomed.ended(5)).length, 5);
    t.is(await held.ping(), 5);
  } finally {
    doomed.kill();
    held.kill();
  }
});

test.serial('an address that another pod takes over at once carries nothing of the old one', async (t) => {
  const first = yaml(pod('shop', 'first', { node: 'node-2', ...echo(8080, 'first') }));
  t.is((await lab.apply(first)).code, 0);
  await until('it answers', () => works('shop/client', 'first'));
  const address = await lab.address('shop', 'first');
  const held = await Held.open(lab, 'shop/client', address, 8080, 2);
  await lab.delete(first);
  const second = yaml(
    pod('plain', 'second', {
      node: 'node-2',
      annotations: { 'lab.aquifer.dev/address': address },
      ...echo(8080, 'second'),
    }),
  );
  t.is((await lab.apply(second)).code, 0);
  await held.ended(2);
  held.kill();
  t.is(await lab.address('plain', 'second'), address);
  const greeting = await eventually('the new pod answers', async () => {
    const ran = await lab.exec('shop/client', ['ncat', '-w', '2', address, '8080'], { input: 'hello\n' });
    return ran.stdout.endsWith('hello\n') ? ran.stdout : undefined;
  });
  t.regex(greeting, /^second /);
});

test.serial('ten thousand idle connections are held, and others go on beside them', async (t) => {
  const before = await agentRssBytes('node-1');
  const holders: Held[] = [];
  try {
    // Half of them through each agent: a process here may have 20,000 descriptors at most, and a relay takes two.
    for (const [client, server] of [
      ['client', 'near'],
      ['far-client', 'far'],
    ] as const) {
      holders.push(await Held.open(lab, `shop/${client}`, await lab.address('shop', server), 8080, 5_000, 90_000));
    }
    t.true((await lab.connections('node-1')).length >= 5_000);
    t.true((await lab.connections('node-2')).length >= 5_000);
    t.true(await works());
    const growth = (await agentRssBytes('node-1')) - before;
    t.true(growth / 5_000 < 12 * 1024, `${Math.round(growth / 5_000)} bytes for each`);
    for (const held of holders) t.is(await held.ping(), 5_000);
  } finally {
    for (const held of holders) held.kill();
  }
  await eventually(
    'they are gone from the table',
    async () => ((await lab.connections('node-1')).length < 100 ? true : undefined),
    60_000,
  );
});
