import type { ApiObject } from '../../../../controller/api/kinds.ts';
import { namespace, object, pod, policy, service, slice } from './objects.ts';
import type { random } from './random.ts';

/** Draws one object of a small world, in which everything refers to everything. */
export function draw({ below, pick, chance }: ReturnType<typeof random>): ApiObject {
  const app = () => pick(['a', 'b', 'c']);
  const address = () => `10.0.0.${1 + below(6)}`;
  switch (below(8)) {
    case 0:
      return namespace('shop', chance(0.7) ? { 'aquifer.dev/dataplane-mode': pick(['ambient', 'none']) } : {});
    case 1: {
      const labels = chance(0.5) ? `, labels: {topology.kubernetes.io/zone: ${pick(['y', 'z'])}}` : '';
      return object(`{apiVersion: v1, kind: Node, metadata: {name: ${pick(['n1', 'n2'])}${labels}}}`);
    }
    case 2:
    case 3: {
      const ports = [{ name: 'web', containerPort: pick([8080, 8081]) }];
      return pod(pick(['p0', 'p1', 'p2', 'p3']), {
        labels: { app: app(), ...(chance(0.3) ? { tier: 'x' } : {}) },
        address: address(),
        node: pick(['n1', 'n2']),
        spec: { containers: [{ name: 'c', ports: chance(0.8) ? ports : [] }], hostNetwork: chance(0.1) },
        status: chance(0.15) ? { phase: pick(['Failed', 'Pending']), podIPs: [] } : {},
      });
    }
    case 4: {
      const ports = [{ port: 80, targetPort: pick(['web', 9000]) }];
      if (chance(0.15)) return service(app(), { type: 'ExternalName', externalName: 'x.example' });
      return service(app(), { ports, ...(chance(0.3) ? { selector: undefined } : { selector: { app: app() } }) });
    }
    case 5: {
      const endpoint = () => ({
        addresses: [address()],
        conditions: { ready: chance(0.7) },
        ...(chance(0.5) ? { targetRef: { kind: 'Pod', name: pick(['p0', 'p1', 'p2']) } } : {}),
      });
      return slice(pick(['s0', 's1', 's2']), app(), [endpoint(), endpoint()], [{ port: pick([9000, 9001]) }]);
    }
    default: {
      const ns = pick(['shop', 'shop', 'aquifer-system']);
      const action = pick(['Allow', 'Deny']);
      const head = { action, enforcement: pick(['Enforce', 'Audit']) };
      const about = below(4);
      if (about === 0) return policy(pick(['q0', 'q1']), { ...head, selector: { matchLabels: { app: app() } } }, ns);
      if (about === 1) {
        const targetRefs = [app(), app()].map((name) => ({ group: '', kind: 'Service', name }));
        return policy(pick(['q0', 'q1']), { ...head, targetRefs }, ns);
      }
      if (about === 2) {
        const rules = [{ to: [{ services: [`shop/${app()}`], ports: [80] }] }];
        return policy(pick(['q0', 'q1']), { ...head, direction: 'Outbound', rules }, ns);
      }
      return policy(pick(['q0', 'q1']), head, ns);
    }
  }
}
