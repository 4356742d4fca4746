import test from 'ava';
import { eventually } from '../../support/eventually.ts';
import { Lab } from '../../support/lab.ts';
import { deployment, namespace, yaml } from '../../support/manifests.ts';

interface Row {
  name: string;
  ready: boolean;
  reason: string | null;
  message: string | null;
  addresses: string[];
}

test('an exhausted address pool is said, and the pod starts once an address is free', async (t) => {
  const lab = await Lab.up('pool', yaml(namespace('a'), deployment('a', 'full', 3)), [
    '--no-agent',
    '--nodes',
    '1',
    '--pods-per-node',
    '3',
  ]);
  t.teardown(() => lab.down());
  const rows = async (): Promise<Row[]> =>
    (JSON.parse((await lab.cli(['lab', 'status', '-o', 'json'])).stdout) as { pods: Row[] }).pods;
  await lab.apply(yaml(deployment('a', 'late', 1)));
  const late = await eventually('it waits', async () =>
    (await rows()).find((row) => row.name.startsWith('late-') && row.reason === 'AddressPoolExhausted'),
  );
  t.regex(late.message ?? '', /no pod address is left on node-1: all 3 are in use/);
  const taken = (await rows()).flatMap((row) => row.addresses);
  await lab.apply(yaml(deployment('a', 'full', 2)));
  const started = await eventually('it starts', async () =>
    (await rows()).find((row) => row.name.startsWith('late-') && row.ready),
  );
  t.true(taken.includes(started.addresses[0] ?? ''), 'an address comes back at once');
});
