import test from 'ava';
import { judge, renderSuite } from '../../bench/report.ts';
import { median, percentile, spreadPercent } from '../../bench/statistics.ts';
import type { Suite } from '../../bench/suite.ts';

test('median takes the middle, or the mean of the two in the middle', (t) => {
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 2, 3]), 2.5);
  t.true(Number.isNaN(median([])));
});

test('spread is half the range in per cent of the median', (t) => {
  t.is(spreadPercent([90, 100, 110]), 10);
  t.is(spreadPercent([5]), 0);
  t.is(spreadPercent([0, 0]), 0);
});

test('percentile takes a value that was measured', (t) => {
  t.is(percentile([1, 2, 3, 4], 0.5), 3);
  t.is(percentile([1, 2, 3, 4], 1), 4);
});

const target = { text: 'CPU ≤ 2× HAProxy', row: 'aquifer', measure: 'us', of: 'haproxy', atMost: 2 };
const rows = [
  { name: 'haproxy', samples: { us: [10, 10, 12] } },
  { name: 'aquifer', samples: { us: [25, 15, 15] } },
  { name: 'none', samples: { us: [Number.NaN] } },
];

test('a target is judged by medians, in units of the peer it names', (t) => {
  t.deepEqual(judge(target, rows), { value: 1.5, met: true });
  t.deepEqual(judge({ ...target, atMost: 1.4 }, rows), { value: 1.5, met: false });
  t.deepEqual(judge({ ...target, of: null, atMost: 15 }, rows), { value: 15, met: true });
  t.is(judge(target, rows.slice(0, 1)), null);
});

test('the table shows medians with ratios, targets and what was not measured', (t) => {
  const suite: Suite = {
    name: 'x',
    title: 'an example',
    measures: [{ key: 'us', label: 'CPU µs', digits: 1, ratio: true }],
    targets: [target],
    run: () => Promise.reject(new Error('not run')),
  };
  t.is(
    renderSuite(suite, { rows, notes: ['envoy: no network'] }),
    `### x: an example

|         |            CPU µs |
|---------|------------------:|
| haproxy | 10.0 ±10% (1.00×) |
| aquifer | 15.0 ±33% (1.50×) |
| none    |                 - |

- CPU ≤ 2× HAProxy: 1.50×, met
- not measured: envoy: no network
`,
  );
});
