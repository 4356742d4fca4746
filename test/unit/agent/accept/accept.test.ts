import test from 'ava';
import { type AcceptedConnection, checkAccepted } from '../../../../agent/accept/accepted.ts';
import { HoldQueue } from '../../../../agent/accept/hold.ts';
import { PodListeners } from '../../../../agent/accept/listeners.ts';
import { MARK } from '../../../../agent/model/datapath.ts';
import type { Accepted, ListenOptions, NativeError } from '../../../../native/index.ts';
import { FakeClock, limits, localPod, nativeError, rawAccepted } from '../../../support/agent-fakes.ts';

const NO_PORTS = new Set<number>();

test('the outbound listener takes CAPTURE only', (t) => {
  t.is(checkAccepted(rawAccepted(MARK.capture), 'outbound', NO_PORTS), null);
  for (const mark of [0, MARK.toApp, MARK.direct, 7])
    t.is(checkAccepted(rawAccepted(mark), 'outbound', NO_PORTS), 'loop');
});

test('the inbound listener takes unmarked connections only', (t) => {
  t.is(checkAccepted(rawAccepted(0), 'inbound', NO_PORTS), null);
  for (const mark of [MARK.capture, MARK.toApp, MARK.direct])
    t.is(checkAccepted(rawAccepted(mark), 'inbound', NO_PORTS), 'loop');
});

test("the agent's own port as a destination is a self call", (t) => {
  t.is(checkAccepted(rawAccepted(0, 34567), 'inbound', new Set([34567])), 'self_call');
});

test('a tunnel is refused while no certificate can prove its peer', (t) => {
  t.is(checkAccepted(rawAccepted(0), 'hbone', NO_PORTS), 'awaiting_identity');
});

interface Opened {
  options: ListenOptions;
  onAccept: (accepted: Accepted) => void;
  closed: boolean;
}

function fakeListen(taken: ReadonlySet<number>, failAfter = Number.POSITIVE_INFINITY) {
  const opened: Opened[] = [];
  const listen = (
    options: ListenOptions,
    _batch: number,
    onAccept: (accepted: Accepted) => void,
    _onError: (error: NativeError) => void,
  ) => {
    if (opened.length >= failAfter) throw nativeError('EMFILE');
    if (taken.has(options.port)) throw nativeError('EADDRINUSE');
    const each: Opened = { options, onAccept, closed: false };
    opened.push(each);
    return {
      fd: 70 + opened.length,
      port: options.port === 0 ? 30_000 + opened.length : options.port,
      close: () => {
        each.closed = true;
      },
    };
  };
  const options: number[][] = [];
  const setSocketOption = (...option: number[]): void => {
    options.push(option);
  };
  return { opened, options, native: { listen, setSocketOption } };
}

test('listeners sit on the well-known ports, transparent, on both families', (t) => {
  const { opened, native } = fakeListen(new Set());
  const pod = localPod('web', '10.0.0.1');
  const listeners = PodListeners.open(native, pod, limits(), { onConnection: () => {}, onAcceptError: () => {} });
  t.deepEqual(
    opened.map(({ options }) => [options.address, options.port, options.transparent, options.netns]),
    [
      ['::', 15001, true, pod.netns],
      ['::', 15006, true, pod.netns],
      ['::', 15008, true, pod.netns],
    ],
  );
  t.deepEqual(listeners.descriptors(), { outbound: 71, inbound: 72, hbone: 73 });
});

test('what a listener accepts is probed when it falls silent', (t) => {
  const { options, native } = fakeListen(new Set());
  const times = { keepaliveTimeMs: 1_500, keepaliveIntervalMs: 2_000, keepaliveProbes: 3 };
  PodListeners.open(native, localPod('web', '10.0.0.1'), limits(times), {
    onConnection: () => {},
    onAcceptError: () => {},
  });
  for (const fd of [71, 72, 73]) {
    const [idle, interval, probes, on] = options.filter(([of]) => of === fd);
    t.deepEqual(
      [idle, interval, probes, on].map((option) => option?.slice(1)),
      [
        [6, 4, 2],
        [6, 5, 2],
        [6, 6, 3],
        [1, 9, 1],
      ],
    );
  }
});

test('a taken port gives way to any free one, which then is a port of the agent', (t) => {
  const { opened, native } = fakeListen(new Set([15006]));
  const seen: AcceptedConnection[] = [];
  PodListeners.open(native, localPod('web', '10.0.0.1'), limits(), {
    onConnection: (connection) => seen.push(connection),
    onAcceptError: () => {},
  });
  t.deepEqual(
    opened.map(({ options }) => options.port),
    [15001, 0, 15008],
  );
  opened[1]?.onAccept(rawAccepted(0, 30_002));
  opened[1]?.onAccept(rawAccepted(0, 8080));
  t.deepEqual(
    seen.map(({ refusal }) => refusal),
    ['self_call', null],
  );
});

test('when one listener cannot be opened none stays', (t) => {
  const { opened, native } = fakeListen(new Set(), 2);
  t.throws(
    () =>
      PodListeners.open(native, localPod('web', '10.0.0.1'), limits(), {
        onConnection: () => {},
        onAcceptError: () => {},
      }),
    { code: 'EMFILE' },
  );
  t.deepEqual(
    opened.map(({ closed }) => closed),
    [true, true],
  );
});

test('the hold queue lets each wait equally long with one timer', (t) => {
  const clock = new FakeClock();
  const expired: string[] = [];
  const queue = new HoldQueue<{ name: string; holdUntilMs: number }>(clock, 100, ({ name }) => expired.push(name));
  queue.add({ name: 'a', holdUntilMs: 0 });
  clock.advance(60);
  queue.add({ name: 'b', holdUntilMs: 0 });
  clock.advance(40);
  t.deepEqual(expired, ['a']);
  clock.advance(60);
  t.deepEqual(expired, ['a', 'b']);
});
