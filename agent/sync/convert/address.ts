import { type Address, AddressSchema } from '../../../controller/proto/gen/istio/workload_pb.js';
import { formatAddress } from '../../model/address.ts';
import type { Service, Workload } from '../../model/workload.ts';
import { decode } from './extensions.ts';
import { Malformed } from './malformed.ts';
import { toService } from './service.ts';
import { toWorkload } from './workload.ts';

export type AddressResource = { kind: 'workload'; value: Workload } | { kind: 'service'; value: Service };

/** An Address resource, which is a workload or a service. Throws `Malformed`. */
export function toAddressResource(bytes: Uint8Array, resourceName: string): AddressResource {
  const { type } = decode(AddressSchema, bytes);
  switch (type.case) {
    case 'workload': {
      const value = toWorkload(type.value);
      requireName(value.uid, resourceName);
      return { kind: 'workload', value };
    }
    case 'service': {
      const value = toService(type.value);
      requireName(value.key, resourceName);
      return { kind: 'service', value };
    }
    default:
      throw new Malformed('neither a workload nor a service');
  }
}

/** The addresses of a resource that was refused, as far as they can be read. */
export function addressesOf(bytes: Uint8Array): string[] {
  try {
    return wireAddresses(decode(AddressSchema, bytes)).flatMap((address) => formatAddress(address) ?? []);
  } catch {
    return [];
  }
}

function wireAddresses({ type }: Address): Uint8Array[] {
  if (type.case === 'workload') return type.value.networkMode === 0 ? type.value.addresses : [];
  return type.case === 'service' ? type.value.addresses.map(({ address }) => address) : [];
}

function requireName(name: string, resourceName: string): void {
  if (name !== resourceName) throw new Malformed(`it holds ${name}`);
}
