import { type DescMessage, fromBinary, type Message, type MessageShape } from '@bufbuild/protobuf';
import type { Extension } from '../../../controller/proto/gen/istio/workload_pb.js';
import { CAPABILITIES } from '../types.ts';
import { Malformed } from './malformed.ts';

const OURS = 'aquifer.dev/';
const TYPE_PREFIX = 'type.googleapis.com/';

/**
 * Our extension of a resource, null when it has none. Extensions of others are skipped; one of ours that this version
 * does not know, or that holds a field it does not know, is refused: it may restrict what we would let pass.
 */
export function ownExtension<D extends DescMessage>(
  extensions: readonly Extension[],
  name: string,
  schema: D,
): MessageShape<D> | null {
  const own = extensions.filter((extension) => extension.name.startsWith(OURS));
  const unknown = own.find((extension) => extension.name !== name);
  if (unknown !== undefined) throw new Malformed(`extension ${unknown.name} is not known to this version`);
  const [extension, second] = own;
  if (extension === undefined) return null;
  if (second !== undefined) throw new Malformed(`extension ${name} stands twice`);
  if (extension.config?.typeUrl !== TYPE_PREFIX + schema.typeName) {
    throw new Malformed(`extension ${name} is of type ${extension.config?.typeUrl ?? 'none'}`);
  }
  const message = decode(schema, extension.config.value);
  requireKnownFields(message, name);
  return message;
}

/** An extension of ours where this version knows none. */
export function refuseOwnExtensions(extensions: readonly Extension[]): void {
  const own = extensions.find((extension) => extension.name.startsWith(OURS));
  if (own !== undefined) throw new Malformed(`extension ${own.name} is not known to this version`);
}

export function requireCapabilities(required: readonly string[]): void {
  const missing = required.filter((capability) => !CAPABILITIES.has(capability));
  if (missing.length > 0) throw new Malformed(`requires ${missing.join(', ')}, which this agent lacks`);
}

export function decode<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new Malformed(`${schema.typeName} cannot be decoded: ${String(cause)}`, { cause });
  }
}

/** Throws on a field number that the schema lacks, at any depth. */
export function requireKnownFields(message: Message, path: string): void {
  const [unknown] = message.$unknown ?? [];
  if (unknown !== undefined) throw new Malformed(`${path}: field ${unknown.no} is not known to this version`);
  for (const [name, value] of Object.entries(message)) walk(value, `${path}.${name}`);
}

function walk(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) walk(item, `${path}[${i}]`);
  } else if (isMessage(value)) {
    requireKnownFields(value, path);
  } else if ('case' in value && 'value' in value) {
    walk(value.value, path);
  }
}

function isMessage(value: object): value is Message {
  return '$typeName' in value;
}
