import type { Native } from '../../native/index.ts';
import type { OtherConnectProgram } from './types.ts';

const OURS = /^aq_connect[46]$/;

/**
 * cgroup/connect programs on a pod's path beside ours, such as a CNI's socket load balancer. One that runs before ours
 * has already put an endpoint in place of the Service when we look; one that runs after ours is seen by guard.
 */
export function otherConnectPrograms(native: Pick<Native, 'queryCgroup'>, cgroup: string): OtherConnectProgram[] {
  return ([4, 6] as const).flatMap((family) => {
    const programs = native.queryCgroup(cgroup, `connect${family}`);
    const ours = programs.findIndex(({ name }) => OURS.test(name));
    return programs
      .map(({ id, name }, index) => ({ family, id, name, afterOurs: ours >= 0 && index > ours }))
      .filter(({ name }) => !OURS.test(name));
  });
}
