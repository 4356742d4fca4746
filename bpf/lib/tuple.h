/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * Addresses as four network-order words, IPv4 v4-mapped, so that a dual-stack socket and a packet compare equal. */
#ifndef AQUIFER_TUPLE_H
#define AQUIFER_TUPLE_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "aquifer.h"

#define AQ_AF_INET 2
#define AQ_AF_INET6 10
#define AQ_V4_MAPPED bpf_htonl(0xffff)

static __always_inline void set_v4(__u32 to[4], __u32 address)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = AQ_V4_MAPPED;
	to[3] = address;
}

/* A field of the context, loaded here: clang otherwise merges the loads of two branches into one through a changed
 * context pointer, which the verifier refuses. */
#define READ(field)                        \
	({                                 \
		__u32 value_ = (field);    \
		barrier_var(value_);       \
		value_;                    \
	})

static __always_inline void set_v6(__u32 to[4], __u32 a, __u32 b, __u32 c, __u32 d)
{
	to[0] = a;
	to[1] = b;
	to[2] = c;
	to[3] = d;
}

static __always_inline bool same_address(const __u32 a[4], const __u32 b[4])
{
	return a[3] == b[3] && a[2] == b[2] && a[1] == b[1] && a[0] == b[0];
}

static __always_inline bool same_tuple(const struct aq_tuple *a, const struct aq_tuple *b)
{
	return a->local_port == b->local_port && a->remote_port == b->remote_port &&
	       same_address(a->local_addr, b->local_addr) && same_address(a->remote_addr, b->remote_addr);
}

static __always_inline bool is_v4(const __u32 a[4])
{
	return !a[0] && !a[1] && a[2] == AQ_V4_MAPPED;
}

static __always_inline bool is_loopback(const __u32 a[4])
{
	if (is_v4(a))
		return (a[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !a[0] && !a[1] && !a[2] && a[3] == bpf_htonl(1);
}

/* fe80::/10. IPv4's 169.254.0.0/16 is no such way out: it has no scope id, is captured like the rest, and carries cloud
 * metadata and node-local DNS. */
static __always_inline bool is_link_local(const __u32 a[4])
{
	return (a[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

#endif
