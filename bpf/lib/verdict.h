/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * A program decides on a reason; the reason is the verdict. Each is counted, a refusal also goes to the log. */
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

/* For the log; the counter has been bumped, and is exact also where the record is left out. Called in one place of each
 * program: its code is long, and each enrolment loads an instance. */
static __always_inline void report(__u32 reason, __u64 cookie, __u32 slot, __u32 protocol,
				   const struct aq_tuple *tuple)
{
	__u64 now = bpf_ktime_get_ns();
	struct aq_event *event;

	if (!within_rate(now))
		return count(AQ_EVENT_SUPPRESSED);
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return count(AQ_EVENT_LOST);
	event->time_ns = now;
	event->netns_cookie = cookie;
	event->tuple = *tuple;
	event->slot = slot;
	event->reason = reason;
	event->protocol = protocol;
	event->reserved[0] = 0;
	event->reserved[1] = 0;
	bpf_ringbuf_submit(event, 0);
}

/* AQ_DROP_* stand together in two groups. */
static __always_inline bool is_refusal(__u32 reason)
{
	return (reason >= AQ_DROP_BOUND_DEVICE && reason <= AQ_DROP_MALFORMED) || reason == AQ_DROP_HELD ||
	       reason == AQ_DROP_REWRITE_FAILED;
}

#endif
