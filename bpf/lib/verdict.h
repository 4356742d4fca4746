/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * Every verdict bumps its counter; a refusal also goes to the log, within a rate. */
#ifndef AQUIFER_VERDICT_H
#define AQUIFER_VERDICT_H

#include "maps.h"
#include "tuple.h"

/* Records that one CPU may send in a second; a flood must not keep the agent busy with reading about itself. */
const volatile __u32 aq_events_per_second = 100;

static __always_inline void count(__u32 reason)
{
	__u64 *counter = bpf_map_lookup_elem(&verdicts, &reason);

	if (counter)
		*counter += 1;
}

static __always_inline bool within_rate(__u64 now)
{
	__u32 zero = 0;
	struct aq_rate *rate = bpf_map_lookup_elem(&event_rate, &zero);

	if (!rate)
		return false;
	if (now - rate->window_ns >= 1000000000ULL) {
		rate->window_ns = now;
		rate->count = 0;
	}
	return rate->count++ < aq_events_per_second;
}

/* `tuple` may be null. The counter is exact also where the record is left out. */
static __always_inline void refuse(__u32 reason, __u64 cookie, __u32 slot, __u32 protocol,
				   const struct aq_tuple *tuple)
{
	__u64 now = bpf_ktime_get_ns();
	struct aq_event *event;

	count(reason);
	if (!within_rate(now))
		return count(AQ_EVENT_SUPPRESSED);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return count(AQ_EVENT_LOST);
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = now;
	event->netns_cookie = cookie;
	if (tuple)
		event->tuple = *tuple;
	event->slot = slot;
	event->reason = reason;
	event->protocol = protocol;
	bpf_ringbuf_submit(event, 0);
}

#endif
