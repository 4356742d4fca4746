import { z } from 'zod';
import { callJson } from '../../../controller/cli/http.ts';
import type { Lab } from '../../support/lab.ts';
import type { Row } from '../figures.ts';
import { LATE, lateNamespace, NODE, podsOf } from '../mesh.ts';
import { until } from '../processes.ts';
import type { Suite } from '../suite.ts';

export const ENROLMENT: Suite = {
  name: 'enrolment',
  title: 'a running pod enters the mesh when its namespace is labelled',
  measures: [
    { key: 'agentMs', label: 'ms in the agent', digits: 1 },
    { key: 'totalMs', label: 'ms from apply to enrolled', digits: 0 },
  ],
  targets: [{ text: 'enrolling a running pod ≤ 20 ms', row: 'aquifer', measure: 'agentMs', of: null, atMost: 20 }],
  run: async (bench) => {
    const lab = await bench.lab();
    const samples: Record<string, number[]> = { agentMs: [], totalMs: [] };
    for (let round = 0; round <= bench.options.rounds * 2; round++) {
      bench.progress(`enrolment ${round}`);
      const began = performance.now();
      await label(lab, 'ambient');
      const totalMs = performance.now() - began;
      const agentMs = lastEnrolmentMs(await lab.metrics(NODE));
      await label(lab, 'none');
      if (round === 0) continue;
      samples.agentMs?.push(agentMs);
      samples.totalMs?.push(totalMs);
    }
    bench.progress('');
    const rows: Row[] = [{ name: 'aquifer', samples }];
    return { rows, notes: [] };
  },
};

/** Labels the namespace and waits until the agent has followed. */
async function label(lab: Lab, mode: 'ambient' | 'none'): Promise<void> {
  const controller = { name: 'the controller', socketPath: `${lab.directory}/controller/controller.sock` };
  const options = { method: 'POST', body: lateNamespace(mode) } as const;
  await callJson(controller, '/v1/apply?layer=applied', z.unknown(), options);
  const wanted = mode === 'ambient' ? 'enrolled' : 'not_enrolled';
  await until(`the pod is ${wanted}`, async () => {
    return (await podsOf(lab)).some(({ namespace, state }) => namespace === LATE && state === wanted);
  });
}

function lastEnrolmentMs(metrics: string): number {
  const value = /^aquifer_enrolment_last_seconds(?:\{[^}]*\})? (\S+)$/m.exec(metrics)?.[1];
  return Number(value) * 1000;
}
