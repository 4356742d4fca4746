/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
 * sk_lookup in each enrolled pod's network namespace, an instance a pod: its slot and addresses are constants, because
 * one program for all could hand a connection to a listener of another namespace. Decides which socket a new
 * connection meets. The order of the tests is the design's (reference: attacks on the capture, section 2). */
#include "verdict.h"

#define AQ_IPPROTO_TCP 6

const volatile __u32 aq_slot = AQ_SLOT_NONE;
const volatile __u32 aq_address_count = 0;
const volatile __u32 aq_addresses[AQ_MAX_ADDRESSES][4] = {};

/* A function that the verifier goes through once, whoever calls it; rolled, for the same reason: each enrolment loads an
 * instance of this. */
__noinline int is_mine(const struct aq_tuple *tuple, bool remote)
{
	const __u32 *address;

	if (!tuple)
		return 0;
	address = remote ? tuple->remote_addr : tuple->local_addr;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < AQ_MAX_ADDRESSES; i++) {
		if (i >= aq_address_count)
			return 0;
		if (address[0] == aq_addresses[i][0] && address[1] == aq_addresses[i][1] &&
		    address[2] == aq_addresses[i][2] && address[3] == aq_addresses[i][3])
			return 1;
	}
	return 0;
}

static __always_inline __u32 hand_to(struct bpf_sk_lookup *ctx, __u32 listener, __u32 reason)
{
	__u32 index = aq_slot * AQ_LISTENERS_PER_POD + listener;
	struct bpf_sock *sk = bpf_map_lookup_elem(&listeners, &index);
	long error;

	/* The agent is gone: refused, never handed to whoever else listens. */
	if (!sk)
		return AQ_DROP_NO_LISTENER;
	/* Without the flag an app that joins the port's reuseport group would take its share. */
	error = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_NO_REUSEPORT);
	bpf_sk_release(sk);
	/* Another sk_lookup program chose first. */
	return error ? AQ_DROP_ASSIGN_FAILED : reason;
}

static __always_inline __u32 judge(struct bpf_sk_lookup *ctx, const struct aq_tuple *tuple)
{
	bool to_me = is_mine(tuple, false);
	bool from_me = is_mine(tuple, true);
	struct aq_origin *origin;

	/* The pod with itself. Such a SYN from the wire gets here as well: guard sees that it did not come over lo. */
	if ((to_me || is_loopback(tuple->local_addr)) && (from_me || is_loopback(tuple->remote_addr)))
		return AQ_PASS_LOOPBACK;
	/* A listener reached by its own port would take that port for the original destination: a loop. */
	if (tuple->local_port == AQ_PORT_OUTBOUND || tuple->local_port == AQ_PORT_INBOUND)
		return AQ_DROP_AGENT_PORT;
	/* Tunnels come from the wire, to one of the pod's own addresses. */
	if (tuple->local_port == AQ_PORT_HBONE && !to_me)
		return AQ_DROP_AGENT_PORT;
	if (tuple->local_port == AQ_PORT_HBONE)
		return hand_to(ctx, AQ_LISTENER_HBONE, AQ_STEER_HBONE);
	origin = bpf_map_lookup_elem(&originated, tuple);
	/* Judged by the agent before it connected: to the app itself. */
	if (origin && origin->kind == AQ_ORIGIN_AGENT)
		return AQ_PASS_RECORDED;
	/* A process of this node, to a port that the pod declared for it; to any other port it is an ordinary caller. */
	if (origin && origin->kind == AQ_ORIGIN_NODE) {
		struct aq_probe_port port = { .slot = aq_slot, .port = tuple->local_port };

		if (bpf_map_lookup_elem(&probe_ports, &port))
			return AQ_PASS_PROBE;
	}
	if (to_me)
		return hand_to(ctx, AQ_LISTENER_INBOUND, AQ_STEER_INBOUND);
	if (from_me)
		return hand_to(ctx, AQ_LISTENER_OUTBOUND, AQ_STEER_OUTBOUND);
	/* A second or link-local address, or a forged source: the outbound listener would take its caller for this pod. */
	return AQ_DROP_NOT_MINE;
}

SEC("sk_lookup")
int aq_steer(struct bpf_sk_lookup *ctx)
{
	struct aq_tuple tuple = {};
	__u32 reason;

	if (ctx->protocol != AQ_IPPROTO_TCP)
		return SK_PASS;
	if (ctx->family == AQ_AF_INET) {
		set_v4(tuple.local_addr, READ(ctx->local_ip4));
		set_v4(tuple.remote_addr, READ(ctx->remote_ip4));
	} else {
		set_v6(tuple.local_addr, READ(ctx->local_ip6[0]), READ(ctx->local_ip6[1]), READ(ctx->local_ip6[2]),
		       READ(ctx->local_ip6[3]));
		set_v6(tuple.remote_addr, READ(ctx->remote_ip6[0]), READ(ctx->remote_ip6[1]), READ(ctx->remote_ip6[2]),
		       READ(ctx->remote_ip6[3]));
	}
	tuple.local_port = ctx->local_port;
	tuple.remote_port = bpf_ntohs(ctx->remote_port);
	reason = judge(ctx, &tuple);
	count(reason);
	if (!is_refusal(reason))
		return SK_PASS;
	report(reason, 0, aq_slot, AQ_IPPROTO_TCP, &tuple);
	return SK_DROP;
}

char aq_license[] SEC("license") = "GPL";
