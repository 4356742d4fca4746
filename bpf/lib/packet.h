/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * Reads an IPv4 or IPv6 packet as cgroup_skb sees it: from the network header on, before fragmentation on the way out
 * and after reassembly on the way in. A fragment is therefore a raw socket's own work. */
#ifndef AQUIFER_PACKET_H
#define AQUIFER_PACKET_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include "tuple.h"

enum aq_protocol {
	AQ_HOPOPTS = 0,
	AQ_ICMP = 1,
	AQ_TCP = 6,
	AQ_UDP = 17,
	AQ_ROUTING = 43,
	AQ_FRAGMENT = 44,
	AQ_ICMPV6 = 58,
	AQ_DSTOPTS = 60,
};

/* More than any stack sends; a longer chain is refused. */
#define AQ_MAX_EXTENSIONS 6
#define AQ_TCP_SYN 0x02
#define AQ_TCP_ACK 0x10

struct packet {
	__u32 source[4];
	__u32 destination[4];
	__u32 protocol;
	__u32 offset;     /* of the transport header */
	__u32 fragmented; /* any fragment, the first included */
};

static __always_inline bool read_v4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return false;
	set_v4(p->source, ip.saddr);
	set_v4(p->destination, ip.daddr);
	p->protocol = ip.protocol;
	p->offset = ip.ihl * 4;
	p->fragmented = ip.frag_off & bpf_htons(0x3fff); /* MF and offset */
	return true;
}

static __always_inline bool read_v6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr ip;
	__u32 next, offset = sizeof(ip);

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) || ip.version != 6)
		return false;
	__builtin_memcpy(p->source, &ip.saddr, sizeof(p->source));
	__builtin_memcpy(p->destination, &ip.daddr, sizeof(p->destination));
	p->fragmented = 0;
	next = ip.nexthdr;
#pragma clang loop unroll(disable)
	for (int i = 0; i <= AQ_MAX_EXTENSIONS; i++) {
		__u8 header[4]; /* next header, length, and in a fragment header its offset */

		if (next != AQ_HOPOPTS && next != AQ_ROUTING && next != AQ_DSTOPTS && next != AQ_FRAGMENT) {
			p->protocol = next;
			p->offset = offset;
			return true;
		}
		if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)))
			return false;
		if (next == AQ_FRAGMENT) {
			p->fragmented = 1;
			offset += 8;
			next = header[0];
			/* What follows in a later fragment is data: only its protocol is known. */
			if (header[2] || (header[3] & 0xf8)) {
				p->protocol = next;
				p->offset = offset;
				return true;
			}
			continue;
		}
		offset += (header[1] + 1) * 8;
		next = header[0];
	}
	return false;
}

/* A function that the verifier goes through once: its many paths end here instead of multiplying what follows. Each
 * enrolment loads an instance of guard, and waits for it. */
__noinline int read_packet(struct __sk_buff *skb, struct packet *p)
{
	if (!p)
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return read_v4(skb, p);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return read_v6(skb, p);
	return 0;
}

/* The tuple as the pod sees it, and the TCP flags. */
static __always_inline bool read_tcp(struct __sk_buff *skb, const struct packet *p, bool egress,
				     struct aq_tuple *tuple, __u8 *flags)
{
	__u8 tcp[14];
	__u16 source, destination;

	if (p->fragmented || bpf_skb_load_bytes(skb, p->offset, tcp, sizeof(tcp)))
		return false;
	source = (__u16)(tcp[0] << 8 | tcp[1]);
	destination = (__u16)(tcp[2] << 8 | tcp[3]);
	*flags = tcp[13];
	__builtin_memcpy(tuple->local_addr, egress ? p->source : p->destination, sizeof(tuple->local_addr));
	__builtin_memcpy(tuple->remote_addr, egress ? p->destination : p->source, sizeof(tuple->remote_addr));
	tuple->local_port = egress ? source : destination;
	tuple->remote_port = egress ? destination : source;
	return true;
}

#endif
