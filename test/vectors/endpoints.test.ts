import { serviceCandidates } from '../../agent/decide/endpoints.ts';
import type { Service } from '../../agent/model/workload.ts';
import { aService, aSnapshot, aWorkload, endpointOf } from '../support/mesh.ts';
import { vectorTest } from '../support/vectors.ts';

function localityOf(text: string) {
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return { region, zone, subzone };
}

interface BalanceFile {
  workloads: Record<string, { ip: string | null; network: string; locality: string }>;
  routingPreferences: ('Network' | 'Region' | 'Zone')[];
  cases: {
    name: string;
    mode: 'Strict' | 'Failover';
    srcNetwork: string;
    srcLocality: string;
    expect: string[] | { never: string[] };
  }[];
}

vectorTest<BalanceFile>(
  'locality chooses the endpoints that ztunnel would reach',
  'wds/load_balance.json',
  (t, file) => {
    const workloads = Object.entries(file.workloads).map(([name, { ip, network, locality }]) =>
      aWorkload(`ns/${name}`, {
        addresses: ip === null ? [] : [ip],
        network,
        locality: localityOf(locality),
        services: endpointOf(['ns/app', { 80: 80 }]),
      }),
    );
    for (const { name, mode, srcNetwork, srcLocality, expect } of file.cases) {
      const service = aService(
        'ns/app',
        { 80: 80 },
        {
          mode: mode.toLowerCase() as Service['mode'],
          routingPreference: file.routingPreferences,
        },
      );
      const source = aWorkload('ns/client', { network: srcNetwork, locality: localityOf(srcLocality) });
      const chosen = serviceCandidates(source, service, 80, 4, aSnapshot({ workloads, services: [service] }));
      const names = chosen.map(({ workload }) => workload?.name ?? '');
      if (Array.isArray(expect)) t.deepEqual(names.toSorted(), expect.toSorted(), name);
      else for (const never of expect.never) t.false(names.includes(never), name);
    }
  },
);

interface PortFile {
  cases: {
    name: string;
    servicePorts: Record<number, number>;
    endpointPorts: Record<number, number>;
    mode: 'Standard' | 'Waypoint';
    expect: number;
  }[];
}

vectorTest<PortFile>('service ports become the ports that ztunnel would choose', 'wds/port_mapping.json', (t, file) => {
  // The mode Waypoint is about a proxy in front of the Service, which this mesh does not have.
  for (const { name, servicePorts, endpointPorts, expect } of file.cases.filter(({ mode }) => mode === 'Standard')) {
    const service = aService('ns/app', servicePorts);
    const workload = aWorkload('ns/a', { addresses: ['10.0.0.1'], services: endpointOf(['ns/app', endpointPorts]) });
    const snapshot = aSnapshot({ workloads: [workload], services: [service] });
    const chosen = serviceCandidates(aWorkload('ns/client'), service, 80, 4, snapshot);
    t.deepEqual(
      chosen.map(({ port }) => port),
      [expect],
      name,
    );
  }
});
