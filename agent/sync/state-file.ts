import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { create, fromBinary } from '@bufbuild/protobuf';
import {
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  ResourceSchema,
} from '../../controller/proto/gen/envoy/service/discovery/v3/ads_pb.js';
import type { GoodResource } from './resource-table.ts';
import { TYPES } from './types.ts';

/**
 * `AQSYNC1\n`, one byte with a bit for each type received in full, then for each resource one byte of type, four of
 * length (big-endian) and the encoded `Resource`; at the end the SHA-256 of all that stands before it.
 */
const MAGIC = Buffer.from('AQSYNC1\n', 'latin1');
const HEAD_BYTES = MAGIC.length + 1;
const FRAME_HEAD_BYTES = 5;
const DIGEST_BYTES = 32;

export function stateFilePath(stateDir: string): string {
  return join(stateDir, 'resources.bin');
}

/** Throws when it would be larger than `maxBytes`. */
export function encodeState(resources: readonly GoodResource[], synced: ReadonlySet<string>, maxBytes: number): Buffer {
  const framed = resources.reduce((sum, { encoded }) => sum + FRAME_HEAD_BYTES + encoded.length, 0);
  const size = HEAD_BYTES + framed + DIGEST_BYTES;
  if (size > maxBytes) throw new Error(`the state takes ${size} bytes, more than the limit of ${maxBytes}`);
  const bytes = Buffer.allocUnsafe(size);
  MAGIC.copy(bytes);
  bytes[MAGIC.length] = TYPES.reduce((bits, type, i) => bits | (synced.has(type) ? 1 << i : 0), 0);
  let at = HEAD_BYTES;
  for (const { typeUrl, encoded } of resources) {
    at = bytes.writeUInt8(TYPES.indexOf(typeUrl), at);
    at = bytes.writeUInt32BE(encoded.length, at);
    bytes.set(encoded, at);
    at += encoded.length;
  }
  digestOf(bytes.subarray(0, at)).copy(bytes, at);
  return bytes;
}

/** What was saved, as one response for each type that had been received in full. Throws on whatever is not as written. */
export function decodeState(bytes: Buffer): DeltaDiscoveryResponse[] {
  const end = bytes.length - DIGEST_BYTES;
  if (end < HEAD_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('it is no state file');
  if (!digestOf(bytes.subarray(0, end)).equals(bytes.subarray(end))) throw new Error('its checksum is wrong');
  const bits = bytes.readUInt8(MAGIC.length);
  const responses = TYPES.map((typeUrl) => create(DeltaDiscoveryResponseSchema, { typeUrl }));
  let at = HEAD_BYTES;
  while (at < end) {
    const response = responses[bytes.readUInt8(at)];
    const from = at + FRAME_HEAD_BYTES;
    at = from + bytes.readUInt32BE(at + 1);
    if (response === undefined || at > end) throw new Error('a frame does not fit');
    response.resources.push(fromBinary(ResourceSchema, bytes.subarray(from, at)));
  }
  return responses.filter((_, i) => (bits & (1 << i)) !== 0);
}

/** Null when there is none. Throws when it is too large or not as written. */
export function readState(stateDir: string, maxBytes: number): DeltaDiscoveryResponse[] | null {
  const path = stateFilePath(stateDir);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isFile() || stat.size > maxBytes) throw new Error(`${path} is no file of at most ${maxBytes} bytes`);
  return decodeState(readFileSync(path));
}

/** Mode 0600; the file is the old one or the new one, never a part. */
export async function writeState(stateDir: string, bytes: Buffer): Promise<void> {
  const path = stateFilePath(stateDir);
  const temporary = `${path}.${process.pid}.tmp`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

function digestOf(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
