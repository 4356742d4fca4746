import test from 'ava';
import { Backoff } from '../../../../agent/sync/backoff.ts';

test('pauses double from the first to the longest, drawn from their upper half, and start anew', (t) => {
  const draws = [0, 0.999, 0.5, 0, 0];
  const backoff = new Backoff(10, 15_000, () => draws.shift() ?? 0.999_999);
  const pauses = Array.from({ length: 30 }, () => Math.round(backoff.nextMs()));
  t.deepEqual(pauses.slice(0, 7), [5, 20, 30, 40, 80, 320, 640]);
  t.is(Math.max(...pauses), 15_000);
  backoff.reset();
  t.is(Math.round(backoff.nextMs()), 10);
});
