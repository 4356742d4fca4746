import type { Native, RingBuffer } from '../../native/index.ts';
import { decodeEvent, REASONS, SLOT_NONE } from './layout.ts';
import type { SharedMaps } from './maps.ts';
import type { KernelEvent } from './types.ts';

/** Reads the refusals that the programs report, within their rate; what a full ring lost is in `verdicts()`. */
export function readEvents(
  native: Pick<Native, 'openRingBuffer'>,
  maps: SharedMaps,
  onEvent: (event: KernelEvent) => void,
): RingBuffer {
  return native.openRingBuffer(maps.all.events, (record) => {
    const { timeNs, netnsCookie, tuple, slot, reason, protocol } = decodeEvent(record);
    const unread = tuple.local.port === 0 && tuple.remote.port === 0;
    onEvent({
      timeNs,
      netnsCookie,
      // A program of a later version may know more reasons than we do.
      reason: REASONS[reason] ?? `REASON_${reason}`,
      slot: slot === SLOT_NONE ? null : slot,
      local: unread || tuple.local.port === 0 ? null : tuple.local,
      remote: unread ? null : tuple.remote,
      protocol,
    });
  });
}
