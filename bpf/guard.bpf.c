/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * cgroup_skb egress and ingress, on each enrolled pod's own cgroup: an instance a pod, its slot a constant. The pod's own
 * sockets speak TCP over lo only, where steer decides; whatever got past the mark (a bound device, a mark changed while
 * the SYN was held back, a route of the pod's own making) ends here. */
#include "verdict.h"
#include "packet.h"

#define AQ_IFINDEX_LO 1

enum { DROP = 0, PASS = 1 };

const volatile __u32 aq_slot = AQ_SLOT_NONE;

/* Only where guard hangs above the agent's own cgroup; asked last, so it costs no one else. A function of its own for the
 * verifier, as in packet.h. */
__noinline int is_agent_socket(struct __sk_buff *skb)
{
#pragma clang loop unroll(disable)
	for (int level = 1; level <= AQ_MAX_CGROUP_DEPTH; level++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		if (!id)
			return 0;
		if (bpf_map_lookup_elem(&agent_cgroups, &id))
			return 1;
	}
	return 0;
}

static __always_inline bool is_recorded(const struct aq_tuple *tuple)
{
	struct aq_origin *origin = bpf_map_lookup_elem(&originated, tuple);
	struct aq_probe_port port = { .slot = aq_slot, .port = tuple->local_port };

	if (!origin)
		return false;
	return origin->kind == AQ_ORIGIN_AGENT || bpf_map_lookup_elem(&probe_ports, &port);
}

/* A socket that was once let through for its recorded tuple stays so with that tuple: the record goes when the agent's
 * end closes, and the last FIN and ACK must still pass. Never for a SYN of the pod: the socket may have been
 * disconnected and connected anew. */
static __always_inline bool is_admitted(struct bpf_sock *sk, const struct aq_tuple *tuple, bool opens)
{
	struct aq_tuple *entry = sk && !opens ? bpf_sk_storage_get(&admitted, sk, 0, 0) : 0;

	if (entry && same_tuple(entry, tuple))
		return true;
	if (!is_recorded(tuple))
		return false;
	if (sk && sk->state != BPF_TCP_LISTEN) {
		entry = bpf_sk_storage_get(&admitted, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (entry)
			*entry = *tuple;
	}
	return true;
}

static __always_inline bool is_older(const struct aq_tuple *tuple)
{
	struct aq_older *entry = bpf_map_lookup_elem(&older, tuple);

	/* Another pod of this node could forge the tuple, but not the slot. */
	return entry && entry->slot == aq_slot;
}

/* Our connect program ran first; a later one (a CNI's socket load balancer) may have put another address in. */
static __always_inline bool tell_rewrite(struct bpf_sock *sk, const struct aq_tuple *tuple)
{
	struct aq_asked *wanted = sk ? bpf_sk_storage_get(&asked, sk, 0, 0) : 0;
	struct aq_rewritten note = {};

	if (!wanted || wanted->seen)
		return true;
	/* 0.0.0.0 and :: mean this host; the kernel fills the address in. */
	if (!wanted->addr[0] && !wanted->addr[1] && !wanted->addr[3])
		return true;
	if (wanted->port != tuple->remote_port || !same_address(wanted->addr, tuple->remote_addr)) {
		note.asked = *wanted;
		note.since_ns = bpf_ktime_get_ns();
		if (bpf_map_update_elem(&rewritten, tuple, &note, BPF_ANY))
			return false;
		count(AQ_NOTE_REWRITTEN);
	}
	wanted->seen = 1;
	return true;
}

static __always_inline __u32 judge(struct __sk_buff *skb, bool egress, struct packet *packet, struct aq_tuple *tuple)
{
	struct bpf_sock *sk = skb->sk;
	__u8 flags = 0;
	bool opens;

	if (!read_packet(skb, packet))
		return AQ_DROP_MALFORMED;
	/* Not captured yet, and no way to carry TCP past a peer that demands an identity. */
	if (packet->protocol == AQ_UDP || packet->protocol == AQ_ICMP || packet->protocol == AQ_ICMPV6)
		return AQ_PACKET_DATAGRAM;
	/* SCTP, raw IP, tunnels: none of them is captured. */
	if (packet->protocol != AQ_TCP)
		return AQ_DROP_PROTOCOL;
	/* The kernel sends no TCP in fragments past this hook: a raw socket does. */
	if (!read_tcp(skb, packet, egress, tuple, &flags))
		return AQ_DROP_MALFORMED;
	opens = (flags & (AQ_TCP_SYN | AQ_TCP_ACK)) == AQ_TCP_SYN;
	if (sk)
		sk = bpf_sk_fullsock(sk);

	/* Captured, or of the pod with itself. A rewritten address must be known to the agent, or it would judge another
	 * destination than the app asked for. */
	if (skb->ifindex == AQ_IFINDEX_LO)
		return egress && opens && !tell_rewrite(sk, tuple) ? AQ_DROP_REWRITE_FAILED : AQ_PACKET_LOOPBACK;
	/* Same-node connections that the agent has judged, and probes of this node. The pod never opens one. */
	if (!(egress && opens) && is_admitted(sk, tuple, opens))
		return AQ_PACKET_RECORDED;
	/* From before the enrolment, and permitted since. */
	if (!opens && is_older(tuple))
		return AQ_PACKET_OLDER;
	if (is_agent_socket(skb))
		return AQ_PACKET_AGENT;
	return egress ? AQ_DROP_UNCAPTURED_EGRESS : AQ_DROP_UNCAPTURED_INGRESS;
}

static __always_inline int guard(struct __sk_buff *skb, bool egress)
{
	struct packet packet = {};
	struct aq_tuple tuple = {};
	__u32 reason = judge(skb, egress, &packet, &tuple);

	count(reason);
	if (!is_refusal(reason))
		return PASS;
	report(reason, 0, aq_slot, packet.protocol, &tuple);
	return DROP;
}

SEC("cgroup_skb/egress")
int aq_guard_egress(struct __sk_buff *skb)
{
	return guard(skb, true);
}

SEC("cgroup_skb/ingress")
int aq_guard_ingress(struct __sk_buff *skb)
{
	return guard(skb, false);
}

char aq_license[] SEC("license") = "GPL";
