import test from 'ava';
import { LineBuffer } from '../../../../agent/observe/line-buffer.ts';

function setUp() {
  const writes: string[] = [];
  const timers: (() => void)[] = [];
  const buffer = new LineBuffer({ write: (text) => writes.push(text) }, 200, (callback) => timers.push(callback));
  return { writes, timers, buffer };
}

test('lines wait for the interval and go out together, in order', (t) => {
  const { writes, timers, buffer } = setUp();
  buffer.write('a\n');
  buffer.write('b\n');
  t.deepEqual([writes, timers.length], [[], 1]);
  timers.pop()?.();
  t.deepEqual(writes, ['a\nb\n']);
  buffer.write('c\n');
  t.is(timers.length, 1);
  buffer.flush();
  t.deepEqual(writes, ['a\nb\n', 'c\n']);
  timers.pop()?.();
  t.is(writes.length, 2, 'nothing is written where nothing waits');
});

test('a full chunk does not wait, and a burst needs no further timer', (t) => {
  const { writes, timers, buffer } = setUp();
  for (let i = 0; i < 1_000; i++) buffer.write(`${'x'.repeat(99)}\n`);
  t.is(writes.length, 6);
  t.is(timers.length, 1);
  timers.pop()?.();
  t.is(writes.join('').length, 100_000);
});
