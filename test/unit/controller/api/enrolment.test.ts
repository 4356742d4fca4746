import test from 'ava';
import { wantsEnrolment } from '../../../../controller/api/enrolment.ts';
import { vectorTest } from '../../../support/vectors.ts';

interface Vectors {
  cases: {
    name: string;
    namespaceLabels: Record<string, string>;
    podLabels: Record<string, string>;
    podHasSidecarStatusAnnotation: boolean;
    hostNetwork: boolean;
    enrolled: boolean;
  }[];
}

vectorTest<Vectors>('wantsEnrolment agrees with Istio on its label', 'enrollment/enrollment.json', (t, { cases }) => {
  t.true(cases.length > 0);
  for (const { name, namespaceLabels, podLabels, podHasSidecarStatusAnnotation, hostNetwork, enrolled } of cases) {
    const annotations: Record<string, string> = podHasSidecarStatusAnnotation
      ? { 'sidecar.istio.io/status': '{}' }
      : {};
    t.is(wantsEnrolment(namespaceLabels, podLabels, annotations, hostNetwork, true), enrolled, name);
    const ours = (labels: Record<string, string>) =>
      Object.fromEntries(Object.entries(labels).map(([key, value]) => [key.replace('istio.io', 'aquifer.dev'), value]));
    t.is(wantsEnrolment(ours(namespaceLabels), ours(podLabels), annotations, hostNetwork, false), enrolled, name);
  }
});

const ISTIO = 'istio.io/dataplane-mode';
const OURS = 'aquifer.dev/dataplane-mode';

test('our label wins over Istio’s on the same object', (t) => {
  t.false(wantsEnrolment({ [ISTIO]: 'ambient', [OURS]: 'none' }, {}, {}, false, true));
  t.true(wantsEnrolment({}, { [ISTIO]: 'none', [OURS]: 'ambient' }, {}, false, true));
});

test('a pod’s label beats its namespace’s, whichever of the two it is', (t) => {
  t.false(wantsEnrolment({ [OURS]: 'ambient' }, { [ISTIO]: 'none' }, {}, false, true));
  t.true(wantsEnrolment({ [OURS]: 'none' }, { [OURS]: 'ambient' }, {}, false, true));
});

test('Istio’s label counts only where the setting says so', (t) => {
  t.false(wantsEnrolment({ [ISTIO]: 'ambient' }, {}, {}, false, false));
});
