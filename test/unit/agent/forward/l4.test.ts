import test from 'ava';
import { L4Forwarder } from '../../../../agent/forward/l4.ts';
import type { Upstream } from '../../../../agent/model/connection.ts';
import type { RelayEnd } from '../../../../native/index.ts';
import { FakeSockets, limits } from '../../../support/agent-fakes.ts';

const upstream: Upstream = { netns: 3, to: { address: '10.0.0.2', port: 80 }, from: null, mark: 7 };

function setUp(next: Upstream | null = null, pendingConnects = 10) {
  const sockets = new FakeSockets();
  const events: string[] = [];
  const forwarder = new L4Forwarder<string>(sockets, limits({ pendingConnects, connectTimeoutMs: 123 }), {
    onOpen: (context) => events.push(`open ${context}`),
    onConnectFailed: (context, error) => {
      events.push(`failed ${context} ${error.code}`);
      return next;
    },
    onEnd: (context: string, end: RelayEnd) => events.push(`end ${context} ${end.cause}`),
  });
  return { sockets, events, forwarder };
}

test('a flow connects as it is told, then relays', (t) => {
  const { sockets, events, forwarder } = setUp();
  const flow = forwarder.adopt(9, 'c');
  t.true(flow.connect(upstream));
  t.like(sockets.connects[0]?.options, { netns: 3, mark: 7, transparent: false, timeoutMs: 123 });
  t.is(forwarder.pendingConnects, 1);
  const relay = sockets.succeed();
  t.is(forwarder.pendingConnects, 0);
  relay.sent = 4;
  t.is(flow.bytesSent(), 4);
  relay.end('eof');
  t.is(flow.bytesSent(), 4);
  t.deepEqual(events, ['open c', 'end c eof']);
});

test('an upstream is probed when it falls silent, before anything is relayed', (t) => {
  const { sockets, forwarder } = setUp();
  forwarder.adopt(9, 'c').connect(upstream);
  t.deepEqual(sockets.socketOptions, []);
  sockets.succeed();
  t.deepEqual(
    sockets.socketOptions.map(({ fd, level, name, value }) => [fd, level, name, value]),
    [
      [100, 6, 4, 180],
      [100, 6, 5, 20],
      [100, 6, 6, 9],
      [100, 1, 9, 1],
    ],
  );
});

test('a failed connect goes on to the next upstream', (t) => {
  const { sockets, events, forwarder } = setUp({ ...upstream, mark: 8 }, 1);
  forwarder.adopt(9, 'c').connect(upstream);
  sockets.fail('ECONNREFUSED');
  t.is(sockets.connects[1]?.options.mark, 8);
  t.is(forwarder.pendingConnects, 1);
  t.deepEqual(events, ['failed c ECONNREFUSED']);
});

test('a flow can be reset before, during and after the connect', (t) => {
  const { sockets, events, forwarder } = setUp();
  forwarder.adopt(1, 'a').reset();
  const connecting = forwarder.adopt(2, 'b');
  connecting.connect(upstream);
  connecting.reset();
  const open = forwarder.adopt(3, 'c');
  open.connect(upstream);
  sockets.succeed();
  open.reset();
  t.deepEqual(sockets.closed, [
    { fd: 1, reset: true },
    { fd: 2, reset: true },
  ]);
  t.true(sockets.connects[0]?.cancelled);
  t.is(forwarder.pendingConnects, 0);
  t.deepEqual(events, ['open c', 'end c closed']);
});

test('beyond the limit nothing is connected', (t) => {
  const { sockets, forwarder } = setUp(null, 0);
  t.false(forwarder.adopt(1, 'a').connect(upstream));
  t.is(sockets.connects.length, 0);
});
