import test from 'ava';
import { AvaOutput } from '../../support/ava-output.ts';

function read(text: string): AvaOutput {
  const output = new AvaOutput();
  for (const line of text.split('\n')) output.line(line);
  return output;
}

test('AVA output counts passed, failed and not-run tests', (t) => {
  const output = read(`
  ✔ a › one passes (120ms)
    ℹ ✔ logged
  ✘ [fail]: a › two fails
  - [skip] a › three
  - [todo] a › four
  ✔ [expected fail] a › five
✔ printed by a test`);
  t.deepEqual(output.tally(1), { passed: 1, failed: 1, notRun: ['a › three', 'a › four', 'a › five'] });
});

test('AVA output sees through colours', (t) => {
  t.deepEqual(read('  \u001b[32m✔\u001b[39m one').tally(0), { passed: 1, failed: 0, notRun: [] });
});

test('AVA output counts a run that exits with an error but shows no failed test as a failure', (t) => {
  t.is(read('  ✔ one\n  ✘ Timed out while running tests').tally(1).failed, 1);
  t.is(read('').tally(1).failed, 1);
});
